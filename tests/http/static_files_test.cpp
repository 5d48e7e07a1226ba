// The files of a folder over real sockets.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include <heph/http/date.hpp>
#include <heph/http/static_files.hpp>

#include "raw_client.hpp"
#include "test_server.hpp"

namespace http = heph::http;
namespace fs = std::filesystem;
using http::test::get_request;
using http::test::test_server;
using namespace std::chrono_literals;

namespace {

/// A folder that is gone with its end, and a secret beside it.
class site {
public:
    site() {
        std::string pattern = (fs::temp_directory_path() / "heph-files-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) { FAIL("no temporary folder"); }
        base_ = pattern;
        fs::create_directory(root());
        write(base_ / "secret.txt", "secret");
    }
    site(const site&) = delete;
    site& operator=(const site&) = delete;
    ~site() { fs::remove_all(base_); }

    [[nodiscard]] fs::path root() const { return base_ / "www"; }
    [[nodiscard]] fs::path base() const { return base_; }

    /// Writes a file that was last changed an hour ago, unless it is said otherwise.
    void add(const std::string& name, std::string_view content, std::chrono::minutes age = 60min) {
        const fs::path path = root() / name;
        fs::create_directories(path.parent_path());
        write(path, content);
        fs::last_write_time(path, fs::file_time_type::clock::now() - age);
    }

private:
    static void write(const fs::path& path, std::string_view content) {
        std::ofstream(path, std::ios::binary) << content;
    }

    fs::path base_;
};

http::router routes_of(const site& files, http::static_file_options options = {}) {
    http::router routes;
    routes.get("/{path...}", http::static_files(files.root(), options));
    return routes;
}

http::test::reply get(const test_server& server, std::string_view path,
                      std::string_view fields = {}) {
    http::test::raw_client client(server.port());
    return client.ask(get_request(path, fields));
}

int status_of(const test_server& server, std::string_view path) { return get(server, path).status; }

}  // namespace

TEST_CASE("static files: a file comes with its type, its tag and its date",
          "[http][server][files]") {
    site files;
    files.add("a.css", "body {}");
    files.add("sub/b.txt", "text");
    files.add("empty.bin", "");
    files.add("with space.html", "<p>");
    const test_server server(routes_of(files));
    const auto css = get(server, "/a.css");
    CHECK(css.status == 200);
    CHECK(css.body == "body {}");
    CHECK(css.header("content-type") == "text/css; charset=utf-8");
    CHECK(css.header("content-length") == "7");
    CHECK(css.header("accept-ranges") == "bytes");
    CHECK(css.header("x-content-type-options") == "nosniff");
    CHECK(css.header("etag"));
    CHECK(css.header("last-modified"));
    CHECK_FALSE(css.header("vary"));
    CHECK(get(server, "/sub/b.txt").body == "text");
    CHECK(get(server, "/sub%2Fb.txt").status != 200);
    CHECK(get(server, "/with%20space.html").body == "<p>");
    const auto empty = get(server, "/empty.bin");
    CHECK(empty.status == 200);
    CHECK(empty.header("content-length") == "0");
    CHECK(status_of(server, "/missing.txt") == 404);
    CHECK(status_of(server, "/a.css/") == 404);
    CHECK(status_of(server, "/a.css/more") == 404);
}

TEST_CASE("static files: large files come whole, and HEAD without them", "[http][server][files]") {
    site files;
    std::string content;
    while (content.size() < 1'000'000) { content += std::to_string(content.size()) + ","; }
    files.add("large.bin", content);
    const test_server server(routes_of(files));
    const auto whole = get(server, "/large.bin");
    CHECK(whole.complete);
    CHECK(whole.header("content-length") == std::to_string(content.size()));
    CHECK_FALSE(whole.header("transfer-encoding"));
    CHECK(whole.body == content);
    http::test::raw_client client(server.port());
    client.send("HEAD /large.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    const auto head = client.read(true);
    CHECK(head.status == 200);
    CHECK(head.header("content-length") == std::to_string(content.size()));
    // The connection goes on.
    CHECK(client.ask(get_request("/large.bin", "Range: bytes=10-19\r\n")).body ==
          content.substr(10, 10));
}

TEST_CASE("static files: no path leads out of the folder", "[http][server][files]") {
    site files;
    files.add("in.txt", "in");
    files.add("sub/x.txt", "x");
    files.add(".hidden", "hidden");
    files.add(".git/config", "hidden");
    fs::create_symlink("../secret.txt", files.root() / "out.txt");
    fs::create_symlink(files.base(), files.root() / "outside");
    fs::create_symlink("in.txt", files.root() / "link.txt");
    fs::create_symlink("loop", files.root() / "loop");
    fs::create_symlink("/proc/self/root", files.root() / "magic");
    const test_server server(routes_of(files));
    CHECK(get(server, "/link.txt").body == "in");
    for (const std::string_view path : {"/out.txt",           "/outside/secret.txt",
                                        "/outside/",          "/loop",
                                        "/magic/etc/passwd",  "/../secret.txt",
                                        "/%2e%2e/secret.txt", "/sub/../../secret.txt",
                                        "/..%2fsecret.txt",   "/sub/%2e%2e/%2e%2e/secret.txt",
                                        "//etc/passwd",       "/%2fetc/passwd",
                                        "/..%5csecret.txt",   "/.hidden",
                                        "/.git/config",       "/%2egit/config",
                                        "/sub//x.txt",        "/in.txt%00.png",
                                        "/sub/./x.txt",       "/\\..\\secret.txt"}) {
        CAPTURE(path);
        const auto answer = get(server, path);
        CHECK((answer.status == 404 || answer.status == 400));
        CHECK(answer.body.find("secret\n") == std::string::npos);
    }
    http::static_file_options all;
    all.dotfiles = true;
    const test_server open(routes_of(files, all));
    CHECK(get(open, "/.hidden").body == "hidden");
    CHECK(status_of(open, "/../secret.txt") == 400);
}

TEST_CASE("static files: a link to a file beside its folder works while others rename files",
          "[http][server][files]") {
    site files;
    files.add("shared/a.css", "a{}");
    files.add("css/b.css", "b{}");
    fs::create_symlink("../shared/a.css", files.root() / "css" / "a.css");
    std::atomic<bool> stopped = false;
    const std::jthread renames([&stopped, one = files.base() / "x", other = files.base() / "y"] {
        std::ofstream{one};
        while (!stopped.load()) {
            (void)std::rename(one.c_str(), other.c_str());
            (void)std::rename(other.c_str(), one.c_str());
        }
    });
    const test_server server(routes_of(files));
    http::test::raw_client client(server.port());
    int failed = 0;
    for (int i = 0; i < 1000; ++i) {
        if (client.ask(get_request("/css/a.css")).body != "a{}") { ++failed; }
    }
    stopped = true;
    CHECK(failed == 0);
}

TEST_CASE("static files: what is no file is not opened", "[http][server][files]") {
    site files;
    REQUIRE(::mkfifo((files.root() / "pipe").c_str(), 0600) == 0);
    files.add("locked.txt", "x");
    fs::permissions(files.root() / "locked.txt", fs::perms::none);
    const test_server server(routes_of(files));
    CHECK(status_of(server, "/pipe") == 404);
    // Root may read everything.
    CHECK(status_of(server, "/locked.txt") == (::geteuid() == 0 ? 200 : 403));
    CHECK_THROWS_AS(http::static_files(files.root() / "missing"), std::system_error);
    CHECK_THROWS_AS(http::static_files(files.root() / "locked.txt"), std::system_error);
}

TEST_CASE("static files: a folder has an index, behind a slash", "[http][server][files]") {
    site files;
    files.add("index.html", "home");
    files.add("sub/index.html", "sub");
    files.add("bare/x.txt", "x");
    http::router routes;
    routes.get("/{path...}", http::static_files(files.root()));
    routes.get("/files/{path...}", http::static_files(files.root()));
    const test_server server(std::move(routes));
    CHECK(get(server, "/").body == "home");
    CHECK(get(server, "/").header("content-type") == "text/html; charset=utf-8");
    CHECK(get(server, "/sub/").body == "sub");
    const auto moved = get(server, "/sub?a=b");
    CHECK(moved.status == 301);
    CHECK(moved.header("location") == "/sub/?a=b");
    CHECK(get(server, "/sub?").header("location") == "/sub/?");
    CHECK(status_of(server, "/bare/") == 404);
    CHECK(get(server, "/files/sub").header("location") == "/files/sub/");
    CHECK(get(server, "/files/sub/").body == "sub");
    // Never to another host.
    CHECK(status_of(server, "//sub") == 404);
    http::static_file_options bare;
    bare.index.clear();
    const test_server no_index(routes_of(files, bare));
    CHECK(status_of(no_index, "/sub/") == 404);
    CHECK(status_of(no_index, "/sub") == 404);
    CHECK(get(no_index, "/sub/index.html").body == "sub");
}

TEST_CASE("static files: conditions are answered", "[http][server][files]") {
    site files;
    files.add("a.txt", "0123456789");
    const test_server server(routes_of(files));
    const auto full = get(server, "/a.txt");
    const std::string tag = full.header("etag").value_or("");
    const std::string date = full.header("last-modified").value_or("");
    const auto same = get(server, "/a.txt", "If-None-Match: " + tag + "\r\n");
    CHECK(same.status == 304);
    CHECK(same.header("etag") == tag);
    CHECK(get(server, "/a.txt", "If-Modified-Since: " + date + "\r\n").status == 304);
    CHECK(get(server, "/a.txt", "If-Match: \"other\"\r\n").status == 412);
    CHECK(get(server, "/a.txt", "If-Match: " + tag + "\r\n").status == 200);
    files.add("a.txt", "9876543210", 30min);
    const auto changed = get(server, "/a.txt", "If-None-Match: " + tag + "\r\n");
    CHECK(changed.status == 200);
    CHECK(changed.body == "9876543210");
    CHECK(changed.header("etag") != tag);
    CHECK(get(server, "/a.txt", "Range: bytes=0-1\r\nIf-Range: " + tag + "\r\n").status == 200);
}

TEST_CASE("static files: a file of the future was not modified later than its answer",
          "[http][server][files]") {
    site files;
    files.add("a.txt", "x", -24h * 365);
    const test_server server(routes_of(files));
    const auto got = get(server, "/a.txt");
    const auto date = http::parse_date(got.header("date").value_or(""));
    const auto modified = http::parse_date(got.header("last-modified").value_or(""));
    REQUIRE(date);
    REQUIRE(modified);
    CHECK(*modified <= *date);
}

TEST_CASE("static files: a time that nanoseconds cannot count is still of the future",
          "[http][server][files]") {
    // What overflowed was of 1715: a client with something older was told that it had the newest.
    site files;
    files.add("a.txt", "plain");
    files.add("a.txt.gz", "old");
    timespec far{};
    far.tv_sec = 10'413'792'000;  // In 2300.
    const std::array<timespec, 2> times{far, far};
    const std::string path = (files.root() / "a.txt").string();
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times.data(), 0) == 0);
    http::static_file_options options;
    options.precompressed = true;
    const test_server server(routes_of(files, options));
    const auto got = get(server, "/a.txt",
                         "Accept-Encoding: gzip\r\n"
                         "If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT\r\n");
    CHECK(got.status == 200);
    CHECK(got.body == "plain");  // And not what was compressed before.
    const auto date = http::parse_date(got.header("date").value_or(""));
    CHECK(http::parse_date(got.header("last-modified").value_or("")) == date);
}

TEST_CASE("static files: one range, several, and none that can be met", "[http][server][files]") {
    site files;
    std::string content(300'000, 'a');
    for (std::size_t i = 0; i < content.size(); ++i) {
        content[i] = static_cast<char>('a' + i % 26);
    }
    files.add("a.txt", content);
    const test_server server(routes_of(files));
    const auto tail = get(server, "/a.txt", "Range: bytes=-5\r\n");
    CHECK(tail.status == 206);
    CHECK(tail.body == content.substr(content.size() - 5));
    CHECK(tail.header("content-range") == "bytes 299995-299999/300000");
    const auto most = get(server, "/a.txt", "Range: bytes=1-\r\n");
    CHECK(most.status == 206);
    CHECK(most.body == content.substr(1));
    const auto beyond = get(server, "/a.txt", "Range: bytes=300000-\r\n");
    CHECK(beyond.status == 416);
    CHECK(beyond.header("content-range") == "bytes */300000");
    CHECK(get(server, "/a.txt", "Range: lines=1-2\r\n").status == 200);
    const auto parts = get(server, "/a.txt", "Range: bytes=0-3,10-12,200000-299999\r\n");
    CHECK(parts.status == 206);
    CHECK(parts.complete);
    const std::string type = parts.header("content-type").value_or("");
    const std::string prefix = "multipart/byteranges; boundary=";
    REQUIRE(type.starts_with(prefix));
    const std::string boundary = type.substr(prefix.size());
    std::string expected;
    const auto add = [&](std::size_t first, std::size_t last) {
        if (!expected.empty()) { expected += "\r\n"; }
        expected += "--" + boundary + "\r\nContent-Type: text/plain; charset=utf-8\r\n";
        expected += "Content-Range: bytes " + std::to_string(first) + "-" + std::to_string(last) +
                    "/300000\r\n\r\n" + content.substr(first, last - first + 1);
    };
    add(0, 3);
    add(10, 12);
    add(200000, 299999);
    expected += "\r\n--" + boundary + "--\r\n";
    CHECK(parts.body == expected);
}

TEST_CASE("static files: compressed ones are sent to who takes them", "[http][server][files]") {
    site files;
    files.add("a.js", "plain");
    files.add("a.js.gz", "gzipped", 30min);
    files.add("a.js.br", "brotli", 30min);
    files.add("b.js", "newer", 10min);
    files.add("b.js.gz", "older", 30min);
    http::static_file_options options;
    options.precompressed = true;
    options.cache_control = "public, max-age=60";
    options.types = {{"js", "text/x-own"}};
    const test_server server(routes_of(files, options));
    const auto of = [&](std::string_view path, std::string_view accepted) {
        return get(server, path, "Accept-Encoding: " + std::string(accepted) + "\r\n");
    };
    const auto plain = get(server, "/a.js");
    CHECK(plain.body == "plain");
    CHECK(plain.header("vary") == "Accept-Encoding");
    CHECK(plain.header("cache-control") == "public, max-age=60");
    CHECK_FALSE(plain.header("content-encoding"));
    const auto br = of("/a.js", "gzip, br");
    CHECK(br.body == "brotli");
    CHECK(br.header("content-encoding") == "br");
    CHECK(br.header("content-type") == "text/x-own");
    CHECK(br.header("etag") != plain.header("etag"));
    const auto gzip = of("/a.js", "gzip");
    CHECK(gzip.body == "gzipped");
    CHECK(gzip.header("content-encoding") == "gzip");
    // Equally long and equally old, and yet not the same bytes.
    files.add("c.js", "plain");
    files.add("c.js.gz", "gzip");
    files.add("c.js.br", "brot");
    const auto time = fs::last_write_time(files.root() / "c.js");
    fs::last_write_time(files.root() / "c.js.gz", time);
    fs::last_write_time(files.root() / "c.js.br", time);
    CHECK(of("/c.js", "gzip").body == "gzip");
    CHECK(of("/c.js", "br").body == "brot");
    CHECK(of("/c.js", "gzip").header("etag") != of("/c.js", "br").header("etag"));
    CHECK(of("/a.js", "br;q=0.1, gzip;q=0.9").body == "gzipped");
    CHECK(of("/a.js", "br;q=0, gzip;q=0").body == "plain");
    // One that is older than the file says something else.
    CHECK(of("/b.js", "gzip").body == "newer");
    CHECK(of("/a.js.gz", "gzip").body == "gzipped");
}

TEST_CASE("static files: a file that gets shorter cuts the connection", "[http][server][files]") {
    site files;
    files.add("a.bin", std::string(8'000'000, 'x'));
    const http::test::captured_log log;
    const test_server server(routes_of(files));
    http::test::raw_client client(server.port(), 4096);
    client.send(get_request("/a.bin"));
    CHECK(client.read_some().find("200 OK") != std::string::npos);
    fs::resize_file(files.root() / "a.bin", 10);
    (void)client.read_rest();
    CHECK(client.was_reset());
}

TEST_CASE("static files: media types are known by the ending of the name", "[http][files]") {
    CHECK(http::media_type_of("a.html") == "text/html; charset=utf-8");
    CHECK(http::media_type_of("A.HTML") == "text/html; charset=utf-8");
    CHECK(http::media_type_of("a.tar.gz") == "application/gzip");
    CHECK(http::media_type_of("a/b.wasm") == "application/wasm");
    CHECK(http::media_type_of("b.d/readme") == "application/octet-stream");
    CHECK(http::media_type_of(".css") == "application/octet-stream");
    CHECK(http::media_type_of("a.") == "application/octet-stream");
    CHECK(http::media_type_of("") == "application/octet-stream");
}
