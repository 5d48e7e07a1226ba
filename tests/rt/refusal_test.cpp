#include <catch2/catch.hpp>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>

#include <heph/rt/runtime.hpp>

#include "refusal.hpp"

using heph::rt::detail::explain_refusal;
using heph::rt::detail::refusal_facts;

namespace {

std::string message_for(int number, int sysctl, int seccomp) {
    return explain_refusal(refusal_facts{number, sysctl, seccomp, 6, 1}).message();
}

}  // namespace

TEST_CASE("refusal: the message names the reason and what to do", "[rt][refusal]") {
    CHECK_THAT(message_for(EPERM, 2, 0),
               Catch::Contains("kernel.io_uring_disabled is 2") && Catch::Contains("set it to 0"));
    CHECK_THAT(message_for(EPERM, 1, 0), Catch::Contains("kernel.io_uring_disabled is 1") &&
                                             Catch::Contains("io_uring_group"));
    CHECK_THAT(message_for(EPERM, 0, 2),
               Catch::Contains("seccomp") && Catch::Contains("--security-opt"));
    CHECK_THAT(message_for(ENOSYS, -1, 2), Catch::Contains("seccomp"));
    CHECK_THAT(message_for(ENOSYS, -1, 0), Catch::Contains("kernel (6.1)"));
    CHECK_THAT(message_for(ENOMEM, 0, 0), Catch::Contains("ulimit -l"));
    CHECK_THAT(message_for(EMFILE, 0, 0), Catch::Contains("ulimit -n"));
}

TEST_CASE("refusal: the code is the errno", "[rt][refusal]") {
    CHECK(explain_refusal(refusal_facts{EPERM, 2, 0, 6, 1}).code() ==
          std::errc::operation_not_permitted);
}

namespace {

// Does what the seccomp profiles of containers do.
bool forbid_io_uring() {
    std::array<sock_filter, 4> program{{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    }};
    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

}  // namespace

TEST_CASE("refusal: a runtime in a process that a seccomp filter confines says so",
          "[rt][refusal]") {
    std::array<int, 2> pipe_ends{};
    REQUIRE(::pipe(pipe_ends.data()) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        std::string said = "the filter was refused";
        if (forbid_io_uring()) {
            const auto runtime = heph::rt::setup{}.build();
            said = runtime ? "a runtime was made" : std::string(runtime.error().message());
        }
        const auto written = ::write(pipe_ends[1], said.data(), said.size());
        ::_exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);
    }
    ::close(pipe_ends[1]);
    std::string heard(4096, '\0');
    const auto count = ::read(pipe_ends[0], heard.data(), heard.size());
    ::close(pipe_ends[0]);
    int status = 0;
    CHECK(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    REQUIRE(count > 0);
    heard.resize(static_cast<std::size_t>(count));
    CHECK_THAT(heard, Catch::Contains("seccomp") && Catch::Contains("io_uring") &&
                          Catch::Contains("--security-opt"));
}
