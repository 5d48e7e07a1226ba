// https over Unix sockets.

#include <string>
#include <vector>

#include <heph/rt/net/unix.hpp>

#include "https_setting.hpp"
#include "rt/temporary_folder.hpp"

using namespace heph_tests;
using http::test::test_server;

TEST_CASE("https unix: over a Unix socket a server proves its name as over TCP", "[https]") {
    const https_setting with;
    const heph::test::temporary_folder folder;
    const std::string path = folder / "socket";
    auto setup = with.server();
    setup.address = "unix:" + path;
    const test_server server(http::test::make_test_routes(), setup);
    auto options = with.client();
    options.unix_socket = heph::rt::net::unix_address::path(path).value();
    const auto told = fetch_all({"https://localhost/hello", "https://localhost/big/3000000",
                                 "https://other.example/hello", "http://localhost/hello"},
                                options);
    REQUIRE(told.size() == 4);
    CHECK(told[0] == "200 Hello, World!");
    CHECK(told[1] == "200 " + std::string(3'000'000, 'b'));
    CHECK(told[2] == text_of(tls::errc::host_mismatch));
    CHECK(told[3].starts_with("400 "));
}
