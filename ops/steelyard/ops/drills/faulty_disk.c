/* A disk that fails on purpose: preloaded into one replica, told what to do through a small shared file.
 *
 * The file named by STEELYARD_FAULTY_DISK holds three 64-bit numbers that may change at any time:
 *   [0] the errno with which every sync fails, or zero
 *   [1] the errno with which every write to a file fails, or zero
 *   [2] nanoseconds that every sync takes longer
 * and one that this library writes:
 *   [3] how many calls were failed or delayed
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *orders;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("STEELYARD_FAULTY_DISK");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *found = mmap(NULL, 4 * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (found != MAP_FAILED) orders = found;
    close(fd);
}

static int sync_fails(void) {
    if (!orders) return 0;
    int64_t late_ns = orders[2];
    if (late_ns > 0) {
        struct timespec wait = {late_ns / 1000000000, late_ns % 1000000000};
        orders[3]++;
        nanosleep(&wait, NULL);
    }
    if (!orders[0]) return 0;
    orders[3]++;
    errno = (int)orders[0];
    return 1;
}

/* Only files: a full disk says nothing about sockets, pipes and terminals. */
static int write_fails(int fd) {
    struct stat found;
    if (!orders || !orders[1]) return 0;
    int before = errno;
    if (fstat(fd, &found) || !S_ISREG(found.st_mode)) {
        errno = before;
        return 0;
    }
    orders[3]++;
    errno = (int)orders[1];
    return 1;
}

#define REAL(result, name, ...)                                            \
    static result (*real)(__VA_ARGS__);                                    \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

int fsync(int fd) {
    REAL(int, fsync, int);
    return sync_fails() ? -1 : real(fd);
}

int fdatasync(int fd) {
    REAL(int, fdatasync, int);
    return sync_fails() ? -1 : real(fd);
}

int msync(void *start, size_t size, int flags) {
    REAL(int, msync, void *, size_t, int);
    return sync_fails() ? -1 : real(start, size, flags);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    REAL(ssize_t, write, int, const void *, size_t);
    return write_fails(fd) ? -1 : real(fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    return write_fails(fd) ? -1 : real(fd, parts, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t place) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    return write_fails(fd) ? -1 : real(fd, bytes, count, place);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t place) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    return write_fails(fd) ? -1 : real(fd, bytes, count, place);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t place) {
    REAL(ssize_t, pwritev, int, const struct iovec *, int, off_t);
    return write_fails(fd) ? -1 : real(fd, parts, count, place);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t place) {
    REAL(ssize_t, pwritev64, int, const struct iovec *, int, off64_t);
    return write_fails(fd) ? -1 : real(fd, parts, count, place);
}
