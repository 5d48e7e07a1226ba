#include <catch2/catch.hpp>

#include <cerrno>
#include <string>

#include <heph/rt/runtime.hpp>

#include "confined.hpp"
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

TEST_CASE("refusal: a runtime that insists on io_uring says why there is none", "[rt][refusal]") {
    const std::string said = heph::test::said_without_io_uring([] {
        const auto runtime = heph::rt::setup{}.driver(heph::rt::driver_kind::io_uring).build();
        return runtime ? "a runtime was made" : std::string(runtime.error().message());
    });
    CHECK_THAT(said, Catch::Contains("seccomp") && Catch::Contains("io_uring") &&
                         Catch::Contains("--security-opt"));
}
