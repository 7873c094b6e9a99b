/* A driver's library for tests: NVML's functions that are used, with the values of a text file (STATE, set by the compiler's
   -D). Its lines are `KEY VALUE`. `driver 0`: it is not loaded. `count N`: that many GPUs. `lost I`: GPU I has fallen off the
   bus. `hang 1`: every call takes as long as that stands there. `N.KEY VALUE` is of GPU N. Made from the documentation of
   NVML's API, not from its header. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, NOT_SUPPORTED = 3, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15 };

typedef struct { unsigned index; } *Device;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Memory;

static struct { unsigned index; } devices[16];
static int initialised;

/* The value of a key, or -1. */
static long long value(const char *wanted) {
    char key[64];
    long long number, found = -1;
    FILE *file = fopen(STATE, "r");
    if (!file) return -1;
    while (fscanf(file, "%63s %lld", key, &number) == 2)
        if (!strcmp(key, wanted)) found = number;
    fclose(file);
    return found;
}

static void hang(void) {
    /* A minute at most: a test that failed leaves no thread behind for ever. */
    for (int i = 0; i < 6000 && value("hang") == 1; i++) usleep(10000);
}

static long long of(Device device, const char *key) {
    char name[64];
    snprintf(name, sizeof name, "%u.%s", device->index, key);
    return value(name);
}

/* What every call about a GPU returns first. */
static int state(Device device) {
    hang();
    if (!initialised) return UNINITIALIZED;
    if (value("driver") == 0) return DRIVER_NOT_LOADED;
    return of(device, "lost") == 1 ? GPU_IS_LOST : SUCCESS;
}

static int number(Device device, const char *key, unsigned *out) {
    int error = state(device);
    long long found = of(device, key);
    if (error) return error;
    if (found < 0) return NOT_SUPPORTED;
    *out = (unsigned)found;
    return SUCCESS;
}

int nvmlInit_v2(void) {
    hang();
    if (value("driver") == 0) return DRIVER_NOT_LOADED;
    initialised = 1;
    return SUCCESS;
}

int nvmlShutdown(void) {
    initialised = 0;
    return SUCCESS;
}

const char *nvmlErrorString(int error) { return error ? "an error" : "success"; }

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    snprintf(version, length, "550.54.14");
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    long long found = value("count");
    hang();
    if (!initialised) return UNINITIALIZED;
    if (value("driver") == 0) return DRIVER_NOT_LOADED;
    *count = found < 0 ? 0 : (unsigned)found;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device *device) {
    devices[index % 16].index = index % 16;
    *device = (Device)&devices[index % 16];
    return state(*device);
}

int nvmlDeviceGetName(Device device, char *name, unsigned length) {
    int error = state(device);
    snprintf(name, length, "Stub GPU %c", 'A' + device->index);
    return error;
}

int nvmlDeviceGetUUID(Device device, char *id, unsigned length) {
    int error = state(device);
    snprintf(id, length, "GPU-%04u", device->index);
    return error;
}

int nvmlDeviceGetUtilizationRates(Device device, Utilization *rates) {
    rates->memory = 0;
    return number(device, "gpu", &rates->gpu);
}

int nvmlDeviceGetEncoderUtilization(Device device, unsigned *percent, unsigned *period) {
    *period = 100000;
    return number(device, "encoder", percent);
}

int nvmlDeviceGetDecoderUtilization(Device device, unsigned *percent, unsigned *period) {
    *period = 100000;
    return number(device, "decoder", percent);
}

int nvmlDeviceGetMemoryInfo_v2(Device device, Memory *memory) {
    unsigned mebibytes = 0;
    int error = number(device, "memory", &mebibytes);
    /* The size of the structure, and 2, as the API asks for. */
    if (memory->version != (sizeof(Memory) | 2u << 24)) return 2;
    memory->total = 24ull << 30;
    memory->reserved = 0;
    memory->used = (unsigned long long)mebibytes << 20;
    memory->free = memory->total - memory->used;
    return error;
}

int nvmlDeviceGetPowerUsage(Device device, unsigned *milliwatts) { return number(device, "milliwatts", milliwatts); }

int nvmlDeviceGetEncoderStats(Device device, unsigned *sessions, unsigned *fps, unsigned *latency) {
    *fps = *latency = 0;
    return number(device, "sessions", sessions);
}

int nvmlDeviceGetEncoderSessions(Device device, unsigned *count, void *list) {
    /* Of the list, whose entries are 32 bytes, only the length is used. */
    unsigned room = *count, there = 0;
    int error = number(device, "listed", &there);
    if (error) return error;
    if (list) memset(list, 0, 32 * (size_t)(room < there ? room : there));
    *count = there;
    return SUCCESS;
}
