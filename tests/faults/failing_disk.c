/* A disk whose Nth call fails: loaded into a process by LD_PRELOAD, armed from within it by failing_disk.py.

In C, because the calls are not all Python's: SQLite makes its own, and what wraps fsio alone would never see a cache
that cannot be written. Calls count where they are about something below one folder; all others go through. A call
fails only with an error that it can have: no fsync lacks permission, no read lacks room. */

#define _GNU_SOURCE
#define _LARGEFILE64_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* What a call does, and so which errors it can have. */
enum { OPENS = 1, MAKES = 2, WRITES = 4, SYNCS = 8, NAMES = 16, REMOVES = 32, READS = 64, LOOKS = 128 };

static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static size_t folder_length;
static int error_number, stays_broken, is_broken, kinds;
static char only_call[64], only_below[PATH_MAX];
static long fails_at, counted, failed;
static char first_failed[PATH_MAX + 64];
static char trace[1 << 20];
static size_t traced;

/* Count from now on: the Nth call below `below` that can fail with `error` fails, and all behind it if `for_ever`.
`which` are the kinds of calls that count; a number of 0 only counts. Where `call` and `within` are not empty, only calls
of that function below that folder count, until one has failed. */
void failing_disk_arm(const char *below, long number, int error, int for_ever, int which, const char *call,
                      const char *within) {
    pthread_mutex_lock(&busy);
    snprintf(folder, sizeof folder, "%s", below);
    folder_length = strlen(folder);
    fails_at = number, error_number = error, stays_broken = for_ever, kinds = which;
    counted = failed = is_broken = 0;
    snprintf(only_call, sizeof only_call, "%s", call);
    snprintf(only_below, sizeof only_below, "%s", within);
    first_failed[0] = trace[0] = 0;
    traced = 0;
    pthread_mutex_unlock(&busy);
}

/* Let everything through again; how many calls counted. */
long failing_disk_disarm(void) {
    pthread_mutex_lock(&busy);
    folder_length = 0;
    long found = counted;
    pthread_mutex_unlock(&busy);
    return found;
}

/* How many calls failed. */
long failing_disk_failed(void) { return failed; }

/* Name and path of the first call that failed. */
const char *failing_disk_first(void) { return first_failed; }

/* Of a run in which none was to fail, all that counted: name and path, a line each. */
const char *failing_disk_trace(void) { return trace; }

static int can_have(int does) {
    switch (error_number) {
    case EIO: return 1;
    case ENOSPC: return does & (MAKES | WRITES | NAMES);
    case EACCES: return does & (OPENS | MAKES | NAMES | REMOVES | LOOKS);
    case EMFILE: return does & OPENS;
    case EROFS: return does & (MAKES | NAMES | REMOVES);
    default: return 0;
    }
}

/* Whether this call is to fail. A full disk takes the first half of what is written, where more than that is to fail. */
static int fails(const char *call, int does, const char *path, int *half) {
    if (!folder_length || !(does & kinds) || strncmp(path, folder, folder_length) ||
        (path[folder_length] != '/' && path[folder_length] != 0) || !can_have(does))
        return 0;
    pthread_mutex_lock(&busy);
    int counts = (!only_call[0] || !strcmp(only_call, call)) && !strncmp(path, only_below, strlen(only_below));
    counted += counts;
    int now = (fails_at && counts && counted == fails_at) || (stays_broken && is_broken);
    is_broken |= now;
    if (!fails_at && traced < sizeof trace - 2 * PATH_MAX)
        traced += (size_t)snprintf(trace + traced, sizeof trace - traced, "%s %s\n", call, path);
    if (now) {
        if (!failed++) {
            snprintf(first_failed, sizeof first_failed, "%s %s", call, path);
            if (half) *half = stays_broken && error_number == ENOSPC;
        }
    }
    pthread_mutex_unlock(&busy);
    if (now) errno = error_number;
    return now;
}

static void path_of(int descriptor, char *into) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, into, PATH_MAX - 1);
    into[length < 0 ? 0 : length] = 0;
}

static int fails_open(const char *call, int does, int descriptor, int *half) {
    char path[PATH_MAX];
    if (!folder_length) return 0;
    int before = errno;
    path_of(descriptor, path);
    errno = before;
    return fails(call, does, path, half);
}

static int fails_at_folder(const char *call, int does, int descriptor, const char *name) {
    char path[2 * PATH_MAX];
    if (!folder_length) return 0;
    if (name[0] == '/' || descriptor == AT_FDCWD) return fails(call, does, name, NULL);
    int before = errno;
    path_of(descriptor, path);
    errno = before;
    size_t length = strlen(path);
    snprintf(path + length, sizeof path - length, "/%s", name);
    return fails(call, does, path, NULL);
}

static int opening(int flags) {
    int makes = flags & (O_CREAT | O_WRONLY | O_RDWR | O_TRUNC);
    return OPENS | (makes ? MAKES : 0);
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define MODE mode_t mode = 0; if (flags & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); \
    mode = va_arg(rest, mode_t); va_end(rest); }

#define OPEN(name) int name(const char *path, int flags, ...) { MODE; REAL(name); \
    return fails(#name, opening(flags), path, NULL) ? -1 : real(path, flags, mode); }
#define OPENAT(name) int name(int at, const char *path, int flags, ...) { MODE; REAL(name); \
    return fails_at_folder(#name, opening(flags), at, path) ? -1 : real(at, path, flags, mode); }
#undef open
#undef openat
#undef creat
extern int open64(const char *, int, ...);
extern int openat64(int, const char *, int, ...);
#pragma GCC diagnostic ignored "-Wattributes"
OPEN(open64)
OPENAT(openat64)

#define PATH_CALL(name, does, parameters, path, values) int name parameters { REAL(name); \
    return fails(#name, does, path, NULL) ? -1 : real values; }
#define AT_CALL(name, does, parameters, at, path, values) int name parameters { REAL(name); \
    return fails_at_folder(#name, does, at, path) ? -1 : real values; }
#define FILE_CALL(kind, name, does, parameters, descriptor, values) kind name parameters { REAL(name); \
    return fails_open(#name, does, descriptor, NULL) ? -1 : real values; }

PATH_CALL(mkdir, MAKES, (const char *path, mode_t mode), path, (path, mode))
PATH_CALL(rmdir, REMOVES, (const char *path), path, (path))
PATH_CALL(unlink, REMOVES, (const char *path), path, (path))
PATH_CALL(rename, NAMES, (const char *old, const char *new), new, (old, new))
PATH_CALL(link, NAMES, (const char *old, const char *new), new, (old, new))
PATH_CALL(symlink, NAMES, (const char *old, const char *new), new, (old, new))
AT_CALL(mkdirat, MAKES, (int at, const char *path, mode_t mode), at, path, (at, path, mode))
AT_CALL(unlinkat, REMOVES, (int at, const char *path, int flags), at, path, (at, path, flags))
AT_CALL(renameat, NAMES, (int from, const char *old, int to, const char *new), to, new, (from, old, to, new))
AT_CALL(renameat2, NAMES, (int from, const char *old, int to, const char *new, unsigned flags), to, new,
        (from, old, to, new, flags))
FILE_CALL(int, fsync, SYNCS, (int file), file, (file))
FILE_CALL(int, fdatasync, SYNCS, (int file), file, (file))

ssize_t write(int file, const void *data, size_t size) {
    REAL(write);
    int half = 0;
    if (!fails_open("write", WRITES, file, &half)) return real(file, data, size);
    return half && size > 1 ? real(file, data, size / 2) : -1;
}

FILE_CALL(ssize_t, writev, WRITES, (int file, const struct iovec *parts, int count), file, (file, parts, count))
FILE_CALL(ssize_t, read, READS, (int file, void *into, size_t size), file, (file, into, size))

/* SQLite asks for the 64 bit names, Python too; glibc gives both the same code where an offset has 64 bits. */
extern ssize_t pwrite64(int, const void *, size_t, off_t);
ssize_t pwrite64(int file, const void *data, size_t size, off_t at) {
    REAL(pwrite64);
    int half = 0;
    if (!fails_open("pwrite64", WRITES, file, &half)) return real(file, data, size, at);
    return half && size > 1 ? real(file, data, size / 2, at) : -1;
}

extern ssize_t pread64(int, void *, size_t, off_t);
FILE_CALL(ssize_t, pread64, READS, (int file, void *into, size_t size, off_t at), file, (file, into, size, at))
extern int ftruncate64(int, off_t);
FILE_CALL(int, ftruncate64, WRITES, (int file, off_t size), file, (file, size))
extern int fallocate64(int, int, off_t, off_t);
FILE_CALL(int, fallocate64, WRITES, (int file, int mode, off_t at, off_t size), file, (file, mode, at, size))

/* This one returns its error. */
extern int posix_fallocate64(int, off_t, off_t);
int posix_fallocate64(int file, off_t at, off_t size) {
    REAL(posix_fallocate64);
    return fails_open("posix_fallocate64", WRITES, file, NULL) ? error_number : real(file, at, size);
}

DIR *opendir(const char *path) {
    REAL(opendir);
    return fails("opendir", OPENS, path, NULL) ? NULL : real(path);
}

extern int stat64(const char *restrict, struct stat64 *restrict);
extern int lstat64(const char *restrict, struct stat64 *restrict);
extern int fstatat64(int, const char *restrict, struct stat64 *restrict, int);
PATH_CALL(stat64, LOOKS, (const char *restrict path, struct stat64 *restrict into), path, (path, into))
PATH_CALL(lstat64, LOOKS, (const char *restrict path, struct stat64 *restrict into), path, (path, into))
AT_CALL(fstatat64, LOOKS, (int at, const char *restrict path, struct stat64 *restrict into, int flags), at, path,
        (at, path, into, flags))
