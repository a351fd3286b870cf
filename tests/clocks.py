"""Programs with a clock of their own: a library before libc's."""

import subprocess

CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long apart(void) { const char *seconds = getenv("CLOCK_APART"); return seconds ? atol(seconds) : 0; }
int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int said = real(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += apart();
    return said;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec, now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *out)
{
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (out) *out = precise.tv_sec;
    return precise.tv_sec;
}
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until)
{
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real) real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    struct timespec there = *until;
    if (there.tv_sec > 1000000000) there.tv_sec -= apart(); /* a time of day: the kernel has its own */
    return real(condition, mutex, &there);
}
"""


def library(folder):
    """The library, compiled; its path."""
    path = folder / "clock.so"
    words = ["gcc", "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", str(path), "-ldl"]
    subprocess.run(words, input=CLOCK, text=True, check=True)
    return path


def apart(library, seconds):
    """The environment in which a program's clock is ahead by so many seconds."""
    return {"LD_PRELOAD": str(library), "CLOCK_APART": str(seconds)}
