#!/usr/bin/env bash
# build.sh NAME DOCKERFILE builds an image of the programs in bin/dist with the
# first of docker, podman and buildah that works here. `make image` calls it in
# the root of the repository. From the environment:
#
#   VERSION            the image's tag
#   SOURCE_DATE_EPOCH  the date of the image and its files, in seconds
#   PLATFORMS          linux/amd64, linux/arm64 or both with a comma between
#   REGISTRY           what comes before NAME, such as registry.example.com/ml/ (nothing)
#   BUILDER            docker, podman or buildah (the first that works)
#   FLAGS              further flags of the builder's, such as --push
set -euo pipefail

name=$1 dockerfile=$2
image=${REGISTRY:-}$name:$VERSION

# works tells whether a builder can build. There is a docker client without a
# daemon on many machines, and one without buildx on some.
works() {
	command -v "$1" >/dev/null || return 1
	[ "$1" != docker ] || { docker buildx version && docker info; } >/dev/null 2>&1
}

found=
for builder in ${BUILDER:-docker podman buildah}; do
	if works "$builder"; then
		found=$builder
		break
	fi
done
if [ -z "$found" ]; then
	echo "no image can be built here: found no ${BUILDER:-docker, podman or buildah}, or it cannot build" \
		"(docker needs a running daemon and buildx). The programs are in bin/dist." >&2
	exit 1
fi

build=(build --file "$dockerfile" --platform "$PLATFORMS" --build-context binaries=bin/dist --build-arg "VERSION=$VERSION")
case $found,$PLATFORMS in
docker,*)
	# buildx reads SOURCE_DATE_EPOCH itself.
	build=(docker buildx "${build[@]}" --tag "$image")
	;;
*,*,*)
	# Images of several platforms are under one name by a list, and a list that is there already would grow.
	"$found" manifest rm "$image" >/dev/null 2>&1 || true
	build=("$found" "${build[@]}" --timestamp "$SOURCE_DATE_EPOCH" --manifest "$image")
	;;
*)
	build=("$found" "${build[@]}" --timestamp "$SOURCE_DATE_EPOCH" --tag "$image")
	;;
esac
# FLAGS are words, so they are split here.
# shellcheck disable=SC2086
"${build[@]}" ${FLAGS:-} .
echo "built $image for $PLATFORMS with $found"
