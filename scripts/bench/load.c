/* load: many WebSocket clients in one epoll loop; counts what arrives, how late, and for whom.
 *
 * usage: load PORT PATH CLIENTS SECONDS [options]        (everything on 127.0.0.1)
 *   --pid P           the server: its CPU time and memory are in the result
 *   --warm S          seconds after the last client opened that are not counted (default 1.5)
 *   --raw             a plain TCP stream of frames, without the handshake
 *   --subprotocol P   header of the handshake
 *   --first HEX       bytes that each client sends first, as one binary frame
 *   --stalled K       K of the clients never read
 *   --storm N         N more clients connect at once when counting begins, which then lasts until
 *                     each of them has a reading, at most SECONDS
 *   --storm-path P    what they ask for (default PATH)
 *
 * Prints one line of JSON. A reading is whatever holds "timestamp": with a number, wherever in a
 * frame: Unix seconds, from which its age is counted. Gaps are counted in its "seq":, per client.
 * Exit code 1 if the clients could not be opened in 60 s.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OPEN_TIMEOUT 60.0
#define OPENING_AT_ONCE 128 /* while the first clients connect, politely */
#define STORM_BATCH 64      /* connects of a storm between two looks at what arrived */
#define EVENTS 256
#define BINS 2500 /* of 1 %, from 1 us: up to about a day */

enum state { IDLE, CONNECTING, HANDSHAKE, OPEN, CLOSED };

struct client {
    int fd;
    enum state state;
    int stalled, late; /* late: one of the storm */
    unsigned char *partial; /* an incomplete frame */
    size_t have;
    uint64_t messages, gaps;
    long long seq; /* the last one, or -1 */
    int served;
};

static int port, clients, stalled, storm, raw, pid;
static double seconds, warm = 1.5;
static const char *path, *storm_path, *subprotocol;
static unsigned char first[1024];
static size_t first_size;

static struct client *all;
static int poller, started, opening, opened, failed, lost, counting;
static int storm_served, storm_failed, storm_lost;
static double storm_begin, storm_last;
static uint64_t bins[BINS], timed, bytes;
static double oldest;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double own_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* CPU seconds of all the server's threads, to the nanosecond. */
static double server_cpu(void)
{
    clockid_t clock;
    struct timespec t;
    if (!pid || clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
        return 0;
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* Seconds in which a process (its first thread) could have run, but something else had its core. */
static double waited(int process)
{
    char name[64];
    unsigned long nanoseconds = 0;
    snprintf(name, sizeof name, "/proc/%d/schedstat", process);
    FILE *f = fopen(name, "r");
    if (!f)
        return 0;
    if (fscanf(f, "%*u %lu", &nanoseconds) != 1)
        nanoseconds = 0;
    fclose(f);
    return nanoseconds * 1e-9;
}

/* The first number after a word in a file of /proc. */
static long number_in(const char *file, const char *word)
{
    static char text[1 << 16];
    FILE *f = fopen(file, "r");
    if (!f)
        return 0;
    size_t size = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[size] = 0;
    char *found = strstr(text, word);
    return found ? atol(found + strlen(word)) : 0;
}

struct memory {
    long rss, slab, sockets; /* KiB: the server's; the kernel's objects; its socket buffers */
};

static struct memory memory(void)
{
    char rollup[64];
    snprintf(rollup, sizeof rollup, "/proc/%d/smaps_rollup", pid);
    return (struct memory){
        pid ? number_in(rollup, "Rss:") : 0,
        number_in("/proc/meminfo", "Slab:"),
        number_in("/proc/net/sockstat", "mem ") * (sysconf(_SC_PAGESIZE) / 1024),
    };
}

static void record(double age)
{
    int bin = age > 1e-6 ? (int)(log(age * 1e6) / log(1.01)) : 0;
    bins[bin < BINS ? bin : BINS - 1]++;
    timed++;
    if (age > oldest)
        oldest = age;
}

static double percentile_ms(double share)
{
    uint64_t wanted = (uint64_t)(share * timed), sum = 0;
    for (int i = 0; i < BINS; i++) {
        sum += bins[i];
        if (sum > wanted)
            return pow(1.01, i + 0.5) / 1e3;
    }
    return oldest * 1e3;
}

static void send_frame(struct client *c, int opcode, const unsigned char *data, size_t size)
{
    unsigned char frame[1024 + 8] = {0x80 | opcode};
    size_t head = 2;
    if (size > 1024)
        return;
    if (size < 126) {
        frame[1] = 0x80 | size;
    } else {
        frame[1] = 0x80 | 126;
        frame[2] = size >> 8;
        frame[3] = size & 255;
        head = 4;
    }
    head += 4; /* a mask of zeros */
    memcpy(frame + head, data, size);
    if (send(c->fd, frame, head + size, MSG_NOSIGNAL) < 0)
        return; /* its end shows when it is read */
}

/* Every reading in one frame's payload, received at t. */
static void payload(struct client *c, const unsigned char *data, size_t size, double t)
{
    static const char stamp[] = "\"timestamp\":", number[] = "\"seq\":";
    const unsigned char *end = data + size, *found = data;
    while ((found = memmem(found, end - found, stamp, sizeof stamp - 1))) {
        found += sizeof stamp - 1;
        if (found >= end || *found < '0' || *found > '9')
            continue; /* a heartbeat or an error, with a date */
        const unsigned char *seq = memmem(found, end - found, number, sizeof number - 1);
        long long n = seq ? atoll((const char *)seq + sizeof number - 1) : -1;
        if (!c->served) {
            c->served = 1;
            if (c->late) {
                storm_served++;
                storm_last = t;
            }
        }
        if (counting && !c->late) {
            c->messages++;
            record(t - strtod((const char *)found, NULL));
            if (c->seq >= 0 && n > c->seq + 1)
                c->gaps += n - c->seq - 1;
        }
        c->seq = n;
    }
    if (counting && !c->late)
        bytes += size;
}

static void drop(struct client *c)
{
    if (c->state < OPEN) {
        opening--;
        *(c->late ? &storm_failed : &failed) += 1;
    } else {
        *(c->late ? &storm_lost : &lost) += 1;
    }
    c->state = CLOSED;
    close(c->fd);
}

static void watch(struct client *c, int operation, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(poller, operation, c->fd, &e);
}

static void dial(struct client *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int small = 4096;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->seq = -1;
    c->state = CONNECTING;
    opening++;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->stalled) /* or the kernel would read for it */
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        drop(c);
        return;
    }
    watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void is_open(struct client *c)
{
    c->state = OPEN;
    opening--;
    opened += !c->late;
    if (first_size)
        send_frame(c, 2, first, first_size);
    if (c->stalled)
        watch(c, EPOLL_CTL_DEL, 0);
}

static void connected(struct client *c)
{
    char request[2048];
    int error = 0, size;
    socklen_t length = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) {
        drop(c);
        return;
    }
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
    if (raw) {
        is_open(c);
        return;
    }
    size = snprintf(request, sizeof request,
                    "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0\r\n"
                    "%s%s%s\r\n",
                    c->late ? storm_path : path, port,
                    subprotocol ? "Sec-WebSocket-Protocol: " : "", subprotocol ? subprotocol : "",
                    subprotocol ? "\r\n" : "");
    c->state = HANDSHAKE;
    if (send(c->fd, request, size, MSG_NOSIGNAL) != size)
        drop(c);
}

/* Size of the handshake's answer: 0 if there is more to come, -1 if it refuses. */
static ssize_t answer(const unsigned char *data, size_t size)
{
    const unsigned char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end)
        return 0;
    return memcmp(data, "HTTP/1.1 101", 12) ? -1 : end + 4 - data;
}

/* Takes all complete frames; returns how many bytes they were. */
static size_t frames(struct client *c, const unsigned char *data, size_t size, double t)
{
    size_t taken = 0;
    while (size - taken >= 2) {
        const unsigned char *f = data + taken;
        size_t head = 2, length = f[1] & 127;
        if (length == 126) {
            head = 4;
            if (size - taken < head)
                break;
            length = f[2] << 8 | f[3];
        } else if (length == 127) {
            head = 10;
            if (size - taken < head)
                break;
            length = 0;
            for (int i = 2; i < 10; i++)
                length = length << 8 | f[i];
        }
        if (size - taken < head + length)
            break;
        switch (f[0] & 15) {
        case 8:
            send_frame(c, 8, f + head, length);
            break;
        case 9:
            send_frame(c, 10, f + head, length);
            break;
        default:
            payload(c, f + head, length, t);
        }
        taken += head + length;
    }
    return taken;
}

static void readable(struct client *c)
{
    static unsigned char buffer[1 << 18];
    if (c->have)
        memcpy(buffer, c->partial, c->have);
    ssize_t got = recv(c->fd, buffer + c->have, sizeof buffer - c->have, 0);
    double t = now();
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            drop(c);
        return;
    }
    size_t size = c->have + got, taken = 0;
    if (c->state == HANDSHAKE) {
        ssize_t head = answer(buffer, size);
        if (head < 0) {
            drop(c);
            return;
        }
        taken = head;
        if (head > 0)
            is_open(c);
    }
    if (c->state == OPEN && !c->stalled)
        taken += frames(c, buffer + taken, size - taken, t);
    free(c->partial);
    c->partial = NULL;
    c->have = size - taken;
    if (c->have) {
        c->partial = malloc(c->have);
        memcpy(c->partial, buffer + taken, c->have);
    }
}

static void serve_events(void)
{
    struct epoll_event ready[EVENTS];
    int count = epoll_wait(poller, ready, EVENTS, started < clients + storm && counting ? 0 : 2);
    for (int i = 0; i < count; i++) {
        struct client *c = ready[i].data.ptr;
        if (c->state == CONNECTING)
            connected(c);
        else if (c->state == HANDSHAKE || c->state == OPEN)
            readable(c);
    }
}

static void open_first(void)
{
    double begin = now();
    while (opened + failed < clients && now() - begin < OPEN_TIMEOUT) {
        while (started < clients && opening < OPENING_AT_ONCE)
            dial(&all[started++]);
        serve_events();
    }
}

static void count(void)
{
    double begin = now();
    counting = 1;
    storm_begin = begin;
    while (now() - begin < seconds) {
        for (int i = 0; i < STORM_BATCH && started < clients + storm; i++)
            dial(&all[started++]);
        serve_events();
        if (storm && storm_served + storm_failed + storm_lost >= storm)
            break;
    }
    counting = 0;
}

struct times {
    double wall, server_cpu, load_cpu, server_waited, load_waited;
};

static struct times times(void)
{
    return (struct times){now(), server_cpu(), own_cpu(), pid ? waited(pid) : 0, waited(getpid())};
}

static void report(double open_took, struct times a, struct times b, const struct memory m[3])
{
    uint64_t messages = 0, gaps = 0, least = UINT64_MAX, most = 0;
    for (int i = 0; i < clients; i++) {
        const struct client *c = &all[i];
        if (c->stalled)
            continue;
        messages += c->messages;
        gaps += c->gaps;
        least = c->messages < least ? c->messages : least;
        most = c->messages > most ? c->messages : most;
    }
    printf("{\"clients\":%d,\"reading\":%d,\"refused\":%d,\"lost\":%d,\"open_seconds\":%.3f,"
           "\"seconds\":%.4f,\"messages\":%lu,\"bytes\":%lu,\"least\":%lu,\"most\":%lu,"
           "\"gaps\":%lu,",
           opened, clients - stalled, failed, lost, open_took, b.wall - a.wall, messages, bytes,
           least, most, gaps);
    printf("\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f,",
           percentile_ms(0.5), percentile_ms(0.99), percentile_ms(0.999), oldest * 1e3);
    printf("\"cpu_seconds\":%.6f,\"load_cpu_seconds\":%.6f,\"waited_seconds\":%.6f,"
           "\"load_waited_seconds\":%.6f,",
           b.server_cpu - a.server_cpu, b.load_cpu - a.load_cpu, b.server_waited - a.server_waited,
           b.load_waited - a.load_waited);
    printf("\"rss_kib\":[%ld,%ld,%ld],\"slab_kib\":[%ld,%ld,%ld],\"sockets_kib\":[%ld,%ld,%ld],",
           m[0].rss, m[1].rss, m[2].rss, m[0].slab, m[1].slab, m[2].slab, m[0].sockets,
           m[1].sockets, m[2].sockets);
    printf("\"storm_served\":%d,\"storm_refused\":%d,\"storm_lost\":%d,\"storm_seconds\":%.3f}\n",
           storm_served, storm_failed, storm_lost, storm_last ? storm_last - storm_begin : 0);
}

static void options(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: load PORT PATH CLIENTS SECONDS [options]\n");
        exit(2);
    }
    port = atoi(argv[1]);
    storm_path = path = argv[2];
    clients = atoi(argv[3]);
    seconds = atof(argv[4]);
    for (int i = 5; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--raw")) {
            raw = 1;
            continue;
        }
        if (!strcmp(argv[i], "--pid"))
            pid = atoi(value);
        else if (!strcmp(argv[i], "--warm"))
            warm = atof(value);
        else if (!strcmp(argv[i], "--subprotocol"))
            subprotocol = value;
        else if (!strcmp(argv[i], "--stalled"))
            stalled = atoi(value);
        else if (!strcmp(argv[i], "--storm"))
            storm = atoi(value);
        else if (!strcmp(argv[i], "--storm-path"))
            storm_path = value;
        else if (!strcmp(argv[i], "--first"))
            while (first_size < sizeof first && sscanf(value, "%2hhx", &first[first_size]) == 1) {
                first_size++;
                value += 2;
            }
        else {
            fprintf(stderr, "load: unknown option %s\n", argv[i]);
            exit(2);
        }
        i++;
    }
}

int main(int argc, char **argv)
{
    struct memory m[3];
    struct rlimit files;
    options(argc, argv);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(0);
    all = calloc(clients + storm, sizeof *all);
    for (int i = 0; i < clients + storm; i++) {
        all[i].late = i >= clients;
        /* spread evenly among the others */
        all[i].stalled =
            i < clients && (int64_t)(i + 1) * stalled / clients > (int64_t)i * stalled / clients;
    }
    m[0] = memory();
    double begin = now();
    open_first();
    double open_took = now() - begin;
    if (opened < clients)
        fprintf(stderr, "load: %d of %d clients opened\n", opened, clients);
    for (double until = now() + warm; now() < until;)
        serve_events();
    m[1] = memory();
    struct times before = times();
    count();
    struct times after = times();
    m[2] = memory();
    report(open_took, before, after, m);
    return opened < clients;
}
