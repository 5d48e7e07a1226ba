#include <catch2/catch.hpp>

#include <unistd.h>

#include <array>
#include <string>

#include <heph/rt/host.hpp>

TEST_CASE("host: it tells the system, the machine and the process", "[rt][host]") {
    const heph::rt::host_info info = heph::rt::host();
    CHECK(info.os == "Linux");
    CHECK_FALSE(info.release.empty());
    CHECK_FALSE(info.version.empty());
    CHECK_FALSE(info.architecture.empty());
    std::array<char, 256> name{};
    REQUIRE(::gethostname(name.data(), name.size() - 1) == 0);
    CHECK(info.name == name.data());
    CHECK(info.pid == ::getpid());
    // A machine need not have one.
    CHECK((info.id.empty() || info.id.size() == 32));
}
