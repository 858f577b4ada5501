/*
 * A stand-in for NVIDIA's libnvidia-ml.so.1, for tests: it has the functions that the agent calls and reads what they
 * answer from the file that the environment variable FAKE_NVML names, anew at each call. So the readings of a running
 * process can change, fail or hang. Build it with
 *
 *     gcc -shared -fPIC -I DIR -o libnvidia-ml.so.1 libnvidia-ml.c
 *
 * DIR is the folder of go-nvml's nvml.h: `go list -m -f {{.Dir}} github.com/NVIDIA/go-nvml`/pkg/nvml. With -DOLD_DRIVER
 * it lacks what came after driver 470. Replace the file by renaming, so that no half of it is read. Its lines are
 * KEY=VALUE, numbers decimal; what is missing is 0 or empty:
 *
 *     init.return=9                  what nvmlInit returns, see nvmlReturn_t
 *     gpus=1                         how many there are; gpu0 is the first
 *     gpu0.uuid=GPU-…  gpu0.name=…  gpu0.minor=0
 *     gpu0.utilization=42            percent
 *     gpu0.memory.total=…  gpu0.memory.reserved=…  gpu0.memory.used=…      bytes
 *     gpu0.power=70000               mW
 *     gpu0.processes=101:1024,102:0  PID:bytes of memory
 *     gpu0.use=1000:101:35           µs:PID:percent, a sample of a process
 *     gpu0.migs=2                    in MIG mode, with so many MIG devices; absent: no MIG mode
 *     gpu0.gpm=1                     the GPU has GPM
 *     gpu0.mig0.uuid=MIG-…  gpu0.mig0.name=… MIG 1g.10gb  gpu0.mig0.gi=7  gpu0.mig0.ci=0
 *     gpu0.mig0.utilization=42       percent, by GPM; memory and processes as of a GPU
 *
 * A call of a device fails with KEY.CALL.return=15 and hangs while KEY.CALL.hang=1. CALL is handle, utilization,
 * memory, power, processes or use.
 */
#define NVML_NO_UNVERSIONED_FUNC_DEFS 1
#include <nvml.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* find copies the value of a key and tells whether there is one. */
static int find(const char *key, char *value, size_t size) {
	char line[4096];
	size_t length = strlen(key);
	int found = 0;
	const char *path = getenv("FAKE_NVML");
	FILE *file = path ? fopen(path, "r") : NULL;
	value[0] = 0;
	while (file && !found && fgets(line, sizeof line, file)) {
		if (strncmp(line, key, length) == 0 && line[length] == '=') {
			line[strcspn(line, "\r\n")] = 0;
			snprintf(value, size, "%s", line + length + 1);
			found = 1;
		}
	}
	if (file)
		fclose(file);
	return found;
}

/* number is the value of device.key, 0 if there is none. */
static unsigned long long number(const char *device, const char *key) {
	char name[128], value[128];
	snprintf(name, sizeof name, "%s%s%s", device, *device ? "." : "", key);
	return find(name, value, sizeof value) ? strtoull(value, NULL, 10) : 0;
}

/* text copies the value of device.key. */
static nvmlReturn_t text(const char *device, const char *key, char *value, unsigned int size) {
	char name[128];
	snprintf(name, sizeof name, "%s.%s", device, key);
	return find(name, value, size) ? NVML_SUCCESS : NVML_ERROR_UNKNOWN;
}

/* A handle is gpu+1 in the low byte and MIG device+1 in the next. */
static nvmlDevice_t handle(unsigned int gpu, unsigned int mig) {
	nvmlDevice_t device = {(struct nvmlDevice_st *)(uintptr_t)(gpu + 1 + (mig << 8))};
	return device;
}

/* key is what the keys of a device begin with. It lives until the thread's next call of key. */
static const char *key(nvmlDevice_t device) {
	static __thread char name[64];
	unsigned int number = (unsigned int)(uintptr_t)device.handle, mig = number >> 8;
	int n = snprintf(name, sizeof name, "gpu%u", (number & 255) - 1);
	if (mig)
		snprintf(name + n, sizeof name - n, ".mig%u", mig - 1);
	return name;
}

static int is_mig(nvmlDevice_t device) { return (uintptr_t)device.handle >> 8 != 0; }

/* outcome hangs as long as it should and is what the call is to return. */
static nvmlReturn_t outcome(const char *device, const char *call) {
	char name[64];
	snprintf(name, sizeof name, "%s.hang", call);
	while (number(device, name))
		usleep(20000);
	snprintf(name, sizeof name, "%s.return", call);
	return (nvmlReturn_t)number(device, name);
}

#define OR_FAIL(device, call) \
	do { \
		nvmlReturn_t ret = outcome(device, call); \
		if (ret != NVML_SUCCESS) \
			return ret; \
	} while (0)

nvmlReturn_t nvmlInit_v2(void) { return outcome("", "init"); }
nvmlReturn_t nvmlShutdown(void) { return NVML_SUCCESS; }
const char *nvmlErrorString(nvmlReturn_t result) { return result ? "a failure of the stand-in" : "success"; }

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count) {
	*count = number("", "gpus");
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
	*device = handle(index, 0);
	OR_FAIL(key(*device), "handle");
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int size) { return text(key(device), "uuid", uuid, size); }
nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int size) { return text(key(device), "name", name, size); }

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned int *minor) {
	*minor = number(key(device), "minor");
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *current, unsigned int *pending) {
	*current = *pending = number(key(device), "migs") > 0;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int *count) {
	(void)device;
	*count = 7;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index, nvmlDevice_t *mig) {
	if (index >= number(key(device), "migs"))
		return NVML_ERROR_NOT_FOUND;
	*mig = handle((unsigned int)(uintptr_t)device.handle - 1, index + 1);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, unsigned int *id) {
	*id = number(key(device), "gi");
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t device, unsigned int *id) {
	*id = number(key(device), "ci");
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *rates) {
	if (is_mig(device) || number(key(device), "migs"))
		return NVML_ERROR_NOT_SUPPORTED;
	OR_FAIL(key(device), "utilization");
	rates->gpu = number(key(device), "utilization");
	rates->memory = 0;
	return NVML_SUCCESS;
}

/* Before version 2 what is used includes what is reserved. */
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory) {
	OR_FAIL(key(device), "memory");
	memory->total = number(key(device), "memory.total");
	memory->used = number(key(device), "memory.used") + number(key(device), "memory.reserved");
	memory->free = memory->total - memory->used;
	return NVML_SUCCESS;
}

#ifndef OLD_DRIVER
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory) {
	if (memory->version != nvmlMemory_v2)
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	OR_FAIL(key(device), "memory");
	memory->total = number(key(device), "memory.total");
	memory->reserved = number(key(device), "memory.reserved");
	memory->used = number(key(device), "memory.used");
	memory->free = memory->total - memory->reserved - memory->used;
	return NVML_SUCCESS;
}
#endif

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int *power) {
	if (is_mig(device))
		return NVML_ERROR_NOT_SUPPORTED;
	OR_FAIL(key(device), "power");
	*power = number(key(device), "power");
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos) {
	char list[4096], *rest = list, *one;
	unsigned int found = 0, room = *count;
	OR_FAIL(key(device), "processes");
	text(key(device), "processes", list, sizeof list);
	while ((one = strsep(&rest, ",")) != NULL && *one) {
		nvmlProcessInfo_t info = {.gpuInstanceId = ~0u, .computeInstanceId = ~0u};
		sscanf(one, "%u:%llu", &info.pid, &info.usedGpuMemory);
		if (found < room)
			infos[found] = info;
		found++;
	}
	*count = found;
	return found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

/* As the driver does, it does not tell the use of processes on a MIG device, and has NOT_FOUND for none. */
nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device, nvmlProcessUtilizationSample_t *samples, unsigned int *count, unsigned long long since) {
	char list[4096], *rest = list, *one;
	unsigned int found = 0, room = samples ? *count : 0;
	if (is_mig(device))
		return NVML_ERROR_NOT_SUPPORTED;
	OR_FAIL(key(device), "use");
	text(key(device), "use", list, sizeof list);
	while ((one = strsep(&rest, ",")) != NULL && *one) {
		nvmlProcessUtilizationSample_t sample = {0};
		sscanf(one, "%llu:%u:%u", &sample.timeStamp, &sample.pid, &sample.smUtil);
		if (sample.timeStamp <= since)
			continue;
		if (found < room)
			samples[found] = sample;
		found++;
	}
	*count = found;
	if (!found)
		return NVML_ERROR_NOT_FOUND;
	return found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

#ifndef OLD_DRIVER
/* A sample of GPM is what the GPU instance read when it was taken. */
struct nvmlGpmSample_st {
	unsigned long long percent;
};

nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t device, nvmlGpmSupport_t *support) {
	support->isSupportedDevice = number(key(device), "gpm");
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmSampleAlloc(nvmlGpmSample_t *sample) {
	sample->handle = calloc(1, sizeof *sample->handle);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmSampleFree(nvmlGpmSample_t sample) {
	free(sample.handle);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmMigSampleGet(nvmlDevice_t device, unsigned int instance, nvmlGpmSample_t sample) {
	unsigned int gpu = (unsigned int)(uintptr_t)device.handle - 1, mig;
	for (mig = 1; mig <= number(key(device), "migs"); mig++) {
		if (number(key(handle(gpu, mig)), "gi") != instance)
			continue;
		OR_FAIL(key(handle(gpu, mig)), "utilization");
		sample.handle->percent = number(key(handle(gpu, mig)), "utilization");
		return NVML_SUCCESS;
	}
	return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlGpmMetricsGet(nvmlGpmMetricsGet_t *query) {
	unsigned int n;
	if (query->version != NVML_GPM_METRICS_GET_VERSION)
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	for (n = 0; n < query->numMetrics; n++) {
		query->metrics[n].nvmlReturn = query->metrics[n].metricId == NVML_GPM_METRIC_GRAPHICS_UTIL ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
		query->metrics[n].value = (double)query->sample2.handle->percent;
	}
	return NVML_SUCCESS;
}
#endif
