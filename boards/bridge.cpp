// A simulated board behind a pseudo-terminal: what the host writes goes bit by bit to the pin rx,
// what comes from the pin tx goes to the host. Time is the board's own: bits last as long as they
// should at the line's rate, cycles as long as the oscillator and the PLL make them.
//
//   bridge TERMINAL OSCILLATOR_HZ BAUD QUIET_CYCLES REPORT
//
// TERMINAL is an open file descriptor. After QUIET_CYCLES without a byte on the line the board
// sleeps until the host writes. SIGTERM ends it; then REPORT, a file, tells what happened, as JSON.
#include "Vsqwire_board.h"
#include "verilated.h"
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <string>
#include <unistd.h>

// A board has long been awake when its first host comes.
static const long awake_cycles = 4096;

static int multiplier = 0, divider = 1;
static volatile sig_atomic_t stopped = 0;

extern "C" void sqwire_pll(int m, int d) {
    multiplier = m;
    divider = d;
}

static void stop(int) { stopped = 1; }

static double now() {
    using clock = std::chrono::steady_clock;
    return std::chrono::duration<double>(clock::now().time_since_epoch()).count();
}

// Bytes become bits on a pin: a start bit, eight bits, a stop bit, each for one bit time.
struct Speaker {
    double bit, cycle, edge = 0; // when the present bit ends
    unsigned shift = 0;
    int left = 0;
    long bytes = 0;
    int pin = 1;
    bool busy() const { return left > 0; }
    void load(unsigned char byte, double time) {
        shift = (byte | 0x100u) << 1;
        left = 10;
        bytes++;
        // Right behind the last stop bit, if it ended in this cycle.
        if (edge < time - cycle) edge = time;
        next();
    }
    void next() {
        pin = shift & 1;
        shift >>= 1;
        edge += bit;
    }
    // True when a byte has ended.
    bool step(double time) {
        if (!left || time < edge) return false;
        if (--left == 0) return true;
        next();
        return false;
    }
};

// And back: each bit is looked at in its middle.
struct Listener {
    double bit, at = 0;
    unsigned shift = 0;
    int left = 0;
    long bytes = 0, broken = 0;
    bool step(double time, int pin, unsigned char *byte) {
        if (!left) {
            if (!pin) {
                left = 10;
                at = time + bit / 2;
            }
            return false;
        }
        if (time < at) return false;
        at += bit;
        left--;
        if (left == 9) {
            if (pin) left = 0;
        } else if (left > 0) {
            shift = shift >> 1 | (pin ? 0x80u : 0);
        } else if (pin) {
            *byte = shift & 0xff;
            bytes++;
            return true;
        } else {
            broken++;
        }
        return false;
    }
};

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    const int terminal = atoi(argv[1]);
    const double oscillator = atof(argv[2]), baud = atof(argv[3]);
    const long quiet_cycles = atol(argv[4]);
    signal(SIGTERM, stop);
    const pid_t parent = getppid();

    VerilatedContext context;
    Vsqwire_board board{&context};
    board.clk = board.fast = 0;
    board.rx = 1;
    board.eval(); // runs the initial blocks: a PLL says how it is set
    const double clock_hz = multiplier ? oscillator * multiplier / divider : oscillator;
    CData &clock = multiplier ? board.fast : board.clk;

    const double period = 1e12 / clock_hz;
    Speaker host{1e12 / baud, period};
    Listener heard{1e12 / baud};
    double time = 0, first = -1, last = 0, began = now(), slept = 0;
    long cycles = 0, quiet = 0;
    unsigned char in[4096], out;
    ssize_t have = 0, used = 0;
    std::string answer;

    while (!stopped) {
        clock = 1;
        board.eval();
        clock = 0;
        board.eval();
        cycles++;
        time += period;
        quiet++;

        if (host.step(time)) last = time;
        if (!host.busy() && used < have) {
            if (first < 0) first = time;
            host.load(in[used++], time);
        }
        board.rx = host.busy() ? host.pin : 1;
        if (host.busy()) quiet = 0;
        if (heard.step(time, board.tx, &out)) {
            answer.push_back(out);
            last = time;
        }
        if (heard.left) quiet = 0;

        // A system call costs as much as many cycles.
        if (cycles % 256) continue;
        while (!answer.empty()) {
            ssize_t n = write(terminal, answer.data(), answer.size());
            if (n < 0) break;
            answer.erase(0, n);
        }
        if (answer.size() > 65536) answer.clear(); // nobody reads; a serial line does not wait
        if (have - used < 1024 && cycles > awake_cycles) {
            memmove(in, in + used, have - used);
            have -= used;
            used = 0;
            ssize_t n = read(terminal, in + have, sizeof in - have);
            if (n > 0) have += n;
        }
        if (used == have && quiet > quiet_cycles && answer.empty()) {
            double start = now();
            while (!stopped) {
                pollfd wait{terminal, POLLIN, 0};
                if (poll(&wait, 1, 200) > 0) {
                    if (wait.revents & POLLIN) break;
                    usleep(1000); // the other end is closed
                }
                if (getppid() != parent) stopped = 1;
            }
            slept += now() - start;
            quiet = 0;
        } else if (cycles % (1 << 20) == 0 && getppid() != parent) {
            break;
        }
    }
    FILE *report = fopen(argv[5], "w");
    if (!report) return 1;
    fprintf(report,
            "{\"clock_hz\": %.0f, \"cycles\": %ld, \"host_bytes\": %ld, \"board_bytes\": %ld, "
            "\"broken\": %ld, \"line_seconds\": %.9f, \"seconds\": %.3f, \"slept\": %.3f}\n",
            clock_hz, cycles, host.bytes, heard.bytes, heard.broken,
            first < 0 ? 0 : (last - first) * 1e-12, now() - began, slept);
    fclose(report);
    return 0;
}
