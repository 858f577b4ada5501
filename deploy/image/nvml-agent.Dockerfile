# The image of the agent on GPU nodes. It loads the driver's library, which needs
# glibc; otherwise as Dockerfile beside it.
#
#     docker build -f deploy/image/nvml-agent.Dockerfile --build-arg VERSION=v1.2.3 -t nvml-agent:v1.2.3 .
ARG GO_VERSION=1.26.8
# Any image with the glibc of Debian 12 or a younger one; give a digest to pin it.
ARG BASE=gcr.io/distroless/base-nossl-debian12:nonroot

FROM --platform=$BUILDPLATFORM golang:${GO_VERSION}-bookworm AS compile
WORKDIR /src
# The C compiler for the other architecture: emulating a whole build takes an hour.
RUN case "$(dpkg --print-architecture)" in \
        amd64) other=gcc-aarch64-linux-gnu libc=libc6-dev-arm64-cross ;; \
        arm64) other=gcc-x86-64-linux-gnu libc=libc6-dev-amd64-cross ;; \
    esac; \
    apt-get update -q && apt-get install -y -q --no-install-recommends "$other" "$libc"
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETARCH
ARG VERSION=dev
RUN make bin/dist/nvml-agent_linux_${TARGETARCH} VERSION=${VERSION}

FROM scratch AS binaries
COPY --from=compile /src/bin/dist/ /

FROM ${BASE}
ARG TARGETARCH
ARG VERSION=dev
LABEL org.opencontainers.image.title="nvml-agent" \
      org.opencontainers.image.description="GPU metrics of a node for gpuscaler" \
      org.opencontainers.image.source="https://github.com/gpuscaler/gpuscaler" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# What NVIDIA's container runtime looks at: all GPUs of the node, and of the
# driver only the library that tells about them.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=utility
COPY --from=binaries /nvml-agent_linux_${TARGETARCH}/ /
USER 65532:65532
EXPOSE 9401
ENTRYPOINT ["/nvml-agent"]
