/* limit: what the kernel alone costs. A loop that writes one ready-made frame to each TCP client.
 *
 * usage: limit PORT RATE        (on 127.0.0.1; runs until it is killed)
 *
 * The frame is a reading as wsbridge sends it. There is no handshake, nobody is asked what they
 * want, and whoever does not read loses bytes: no server can be as cheap.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define MOST_CLIENTS 65536

static size_t make_frame(char *frame, size_t room, unsigned long seq)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int size = snprintf(
        frame + 4, room - 4,
        "{\"type\":\"data\",\"timestamp\":%ld.%06ld,\"module\":4,\"wavelength_nm\":1310.0,"
        "\"unit\":\"dBm\",\"ch1_power\":-17.8512,\"ch2_power\":-21.5634,\"ch3_power\":6.9421,"
        "\"ch4_power\":-60.1212,\"quality\":\"VALID\","
        "\"epoch\":\"5f0c9d3b7a1e4c2f8d6b0a9e3c7f1d5b\",\"seq\":%lu}",
        t.tv_sec, t.tv_nsec / 1000, seq);
    frame[0] = (char)0x81;
    frame[1] = 126;
    frame[2] = size >> 8;
    frame[3] = size & 255;
    return size + 4;
}

int main(int argc, char **argv)
{
    static int fds[MOST_CLIENTS];
    int clients = 0, one = 1, fd;
    struct rlimit files;
    struct timespec next;
    char frame[512];
    if (argc != 3) {
        fprintf(stderr, "usage: limit PORT RATE\n");
        return 2;
    }
    long period = 1e9 / atof(argv[2]);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) {
        perror("limit");
        return 1;
    }
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (unsigned long seq = 1;; seq++) {
        while (clients < MOST_CLIENTS && (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            fds[clients++] = fd;
        }
        size_t size = make_frame(frame, sizeof frame, seq);
        for (int i = 0; i < clients; i++)
            if (send(fds[i], frame, size, MSG_NOSIGNAL) < 0)
                continue;
        next.tv_nsec += period;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
}
