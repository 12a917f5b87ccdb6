/* A clock that jumps on purpose: preloaded into one replica, told how far off it is through a small shared file.
 *
 * The file named by STEELYARD_FAULTY_CLOCK holds two 64-bit numbers that may change at any time: nanoseconds
 * that are added to the time of day, and how many times (this library counts) the wrong time was told.  The
 * monotonic clock stays right.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000LL

static volatile int64_t *orders;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("STEELYARD_FAULTY_CLOCK");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *found = mmap(NULL, 2 * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (found != MAP_FAILED) orders = found;
    close(fd);
}

static int is_time_of_day(clockid_t clock) {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (result == 0 && orders && orders[0] && is_time_of_day(clock)) {
        int64_t ns = (int64_t)now->tv_sec * SECOND_NS + now->tv_nsec + orders[0];
        now->tv_sec = ns / SECOND_NS;
        now->tv_nsec = ns % SECOND_NS;
        orders[1]++;
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return result;
}

time_t time(time_t *told) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (told) *told = exact.tv_sec;
    return exact.tv_sec;
}
