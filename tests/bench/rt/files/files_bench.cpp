// The CPU and the time that a read of a cached file takes: heph-rt by both drivers, beside plain
// system calls, libuv and Boost.Asio.
//
// Usage: heph_rt_files_bench [--passes N] [--reads N] [--mebibytes N] [--folder PATH] [--only NAME]
//
// Each measures in a process of its own, once in a pass, in turn; the medians are told. The CPU is
// that of all threads of the process.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "reading.hpp"

namespace {

using heph::bench::reading;
using heph::bench::taken;
using heph::bench::work;

struct options {
    std::uint64_t passes = 5;
    std::uint64_t reads = 200'000;  // Of the small ones.
    std::uint64_t mebibytes = 64;
    std::string folder = "/var/tmp";
    std::string only;  // Of the readers, besides the floor: those whose name has this in it.
};

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

// A file that is in the page cache, and goes when the program does.
class cached_file {
public:
    cached_file(const std::string& folder, std::uint64_t mebibytes)
        : path_(folder + "/heph-files-bench." + std::to_string(::getpid())) {
        const int file = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (file < 0) { fail(path_.c_str()); }
        const std::vector<char> bytes(std::size_t{1} << 20U, 'x');
        for (std::uint64_t i = 0; i < mebibytes; ++i) {
            if (::write(file, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
                fail(path_.c_str());
            }
        }
        // Nothing is written back while it is measured.
        if (::fsync(file) != 0) { fail("fsync"); }
        ::close(file);
    }
    cached_file(const cached_file&) = delete;
    cached_file& operator=(const cached_file&) = delete;
    ~cached_file() { ::unlink(path_.c_str()); }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
};

struct reader {
    const char* name;
    // Does the reading in a process of its own, and writes what it took to a descriptor.
    std::function<void(const reading&, int)> read;
    bool one_at_a_time = false;
};

std::function<void(const reading&, int)> here(void (*read)(work&), const char* driver = nullptr) {
    return [read, driver](const reading& what, int tell) {
        if (driver != nullptr) { ::setenv("HEPH_DRIVER", driver, 1); }
        work all(what);
        read(all);
        const taken took = all.took();
        if (::write(tell, &took, sizeof(took)) != sizeof(took)) { std::_Exit(1); }
    };
}

#ifdef HEPH_BENCH_ASIO_FILES
void asio_program(const reading& what, int tell) {
    const std::array<std::string, 6> numbers{
        std::to_string(what.file_bytes), std::to_string(what.bytes), std::to_string(what.reads),
        std::to_string(what.under_way),  what.at_random ? "1" : "0", std::to_string(tell)};
    ::execl(HEPH_BENCH_ASIO_FILES, HEPH_BENCH_ASIO_FILES, what.path.c_str(), numbers[0].c_str(),
            numbers[1].c_str(), numbers[2].c_str(), numbers[3].c_str(), numbers[4].c_str(),
            numbers[5].c_str(), nullptr);
}
#endif

std::vector<reader> all_readers() {
    std::vector<reader> all;
    all.push_back({"pread", here(&heph::bench::read_with_pread), true});
    all.push_back({"heph-rt, io_uring", here(&heph::bench::read_with_heph, "uring")});
    all.push_back({"heph-rt, epoll", here(&heph::bench::read_with_heph, "epoll")});
#ifdef HEPH_BENCH_UV
    all.push_back({"libuv", here(&heph::bench::read_with_uv)});
#else
    std::puts("libuv is missing: install libuv1-dev and build again");
#endif
#ifdef HEPH_BENCH_ASIO_FILES
    all.push_back({"Boost.Asio, io_uring", &asio_program});
#else
    std::puts("Boost.Asio with io_uring is missing: install libboost1.81-dev and build again");
#endif
    return all;
}

taken measure(const reader& who, const reading& what) {
    std::array<int, 2> told{};
    if (::pipe(told.data()) != 0) { fail("pipe"); }
    (void)std::fflush(stdout);
    const pid_t child = ::fork();
    if (child < 0) { fail("fork"); }
    if (child == 0) {
        ::close(told[0]);
        who.read(what, told[1]);
        std::_Exit(1);  // What it told counts.
    }
    ::close(told[1]);
    taken took;
    const bool is_told = ::read(told[0], &took, sizeof(took)) == sizeof(took);
    ::close(told[0]);
    ::waitpid(child, nullptr, 0);
    if (!is_told) {
        (void)std::fprintf(stderr, "%s did not do its work\n", who.name);
        std::exit(1);
    }
    return took;
}

double median(std::vector<double>& of) {
    std::sort(of.begin(), of.end());
    return of[of.size() / 2];
}

struct figures {
    std::vector<double> cpu;
    std::vector<double> wall;
};

void compare(const char* title, const reading& what, const std::vector<reader>& readers,
             std::uint64_t passes) {
    std::vector<figures> all(readers.size());
    for (std::uint64_t pass = 0; pass < passes; ++pass) {
        for (std::size_t i = 0; i < readers.size(); ++i) {
            // In turns, as the state of the machine changes with time.
            const std::size_t which = (i + pass) % readers.size();
            reading its = what;
            if (readers[which].one_at_a_time) { its.under_way = 1; }
            const taken took = measure(readers[which], its);
            all[which].cpu.push_back(took.cpu);
            all[which].wall.push_back(took.wall);
        }
    }
    std::printf("%s, %llu reads; medians of %llu\n%-22s %12s %9s %13s\n", title,
                static_cast<unsigned long long>(what.reads),
                static_cast<unsigned long long>(passes), "", "CPU, ns/read", "x pread",
                "time, ns/read");
    const double floor = median(all[0].cpu);
    for (std::size_t i = 0; i < readers.size(); ++i) {
        const double cpu = median(all[i].cpu);
        std::printf("%-22s %12.0f %9.2f %13.0f\n", readers[i].name, cpu, cpu / floor,
                    median(all[i].wall));
    }
    std::printf("\n");
}

options parse(int count, char** arguments) {
    options parsed;
    const std::map<std::string_view, std::uint64_t*> names{{"--passes", &parsed.passes},
                                                           {"--reads", &parsed.reads},
                                                           {"--mebibytes", &parsed.mebibytes}};
    for (int i = 1; i < count; i += 2) {
        const char* const value = i + 1 < count ? arguments[i + 1] : "";
        const std::string_view name = arguments[i];
        if ((name == "--folder" || name == "--only") && *value != '\0') {
            (name == "--folder" ? parsed.folder : parsed.only) = value;
            continue;
        }
        const auto named = names.find(name);
        const std::uint64_t number = std::strtoull(value, nullptr, 10);
        if (named == names.end() || number == 0) {
            (void)std::fputs(
                "usage: heph_rt_files_bench [--passes N] [--reads N] [--mebibytes N] "
                "[--folder PATH] [--only NAME]\n",
                stderr);
            std::exit(2);
        }
        *named->second = number;
    }
    return parsed;
}

}  // namespace

int main(int count, char** arguments) {
    const options how = parse(count, arguments);
    const cached_file file(how.folder, how.mebibytes);
    std::vector<reader> readers = all_readers();
    std::erase_if(readers, [&how](const reader& each) {
        return !each.one_at_a_time &&
               std::string_view(each.name).find(how.only) == std::string::npos;
    });
    reading what;
    what.path = file.path();
    what.file_bytes = how.mebibytes << 20U;
    what.bytes = 4096;
    what.reads = how.reads;
    what.at_random = true;
    compare("4 KiB of a cached file at random, one at a time", what, readers, how.passes);
    what.under_way = 32;
    compare("4 KiB of a cached file at random, 32 at a time", what, readers, how.passes);
    what.under_way = 1;
    what.at_random = false;
    what.bytes = std::size_t{1} << 20U;
    what.reads = how.reads / 100 + 1;
    compare("1 MiB of a cached file, one after the other", what, readers, how.passes);
    return 0;
}
