// Files of forms, written to disk as they come.

#include <heph/http/upload.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <catch2/catch.hpp>

#include "raw_client.hpp"
#include "rt/temporary_folder.hpp"
#include "test_server.hpp"

namespace http = heph::http;
namespace fs = std::filesystem;
using heph::task;

namespace {

std::string field_of(std::string_view name, std::string_view value) {
    return "--XX\r\nContent-Disposition: form-data; name=\"" + std::string(name) + "\"\r\n\r\n" +
           std::string(value) + "\r\n";
}
std::string file_of(std::string_view name, std::string_view filename, std::string_view content) {
    return "--XX\r\nContent-Disposition: form-data; name=\"" + std::string(name) +
           "\"; filename=\"" + std::string(filename) + "\"\r\nContent-Type: image/png\r\n\r\n" +
           std::string(content) + "\r\n";
}
std::string request_of(std::string_view parts, std::string_view end = "--XX--\r\n") {
    const std::string body = std::string(parts) + std::string(end);
    return "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=XX\r\n"
           "Content-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
}
std::string content_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// Tells what came, and keeps each file in the folder as 0, 1, ….
http::router routes_for(http::upload_options options) {
    http::router routes;
    routes.post("/", [options](http::request& asked) -> task<http::response> {
        auto form = co_await http::receive_upload(asked, options);
        if (!form) { co_return http::response::problem(form.error()); }
        std::string told;
        for (const auto& [name, value] : form->fields()) { told += name + "=" + value + ";"; }
        int number = 0;
        for (http::uploaded_file& file : form->files()) {
            told += file.field() + "/" + file.filename() + "/" + file.content_type() + "/" +
                    std::to_string(file.size()) + ";";
            const auto kept = co_await file.keep_as(options.folder / std::to_string(number++));
            if (!kept) { told += kept.error().message() + ";"; }
        }
        if (http::uploaded_file* one = form->file("b")) { told += "b is " + one->filename(); }
        co_return http::response::text(told);
    });
    return routes;
}

}  // namespace

TEST_CASE("upload: fields and files come as they were sent, and stay when they are kept",
          "[http][server][upload]") {
    const heph::test::temporary_folder folder;
    http::upload_options options;
    options.folder = folder.path();
    const http::test::test_server server(routes_for(options));
    http::test::raw_client client(server.port());
    std::string large(300'000, 'x');
    for (std::size_t i = 0; i < large.size(); ++i) { large[i] = static_cast<char>(i * 31 % 251); }
    const auto told = client.ask(request_of(field_of("a", "1") + file_of("b", "../x.png", large) +
                                            field_of("a", "2") + file_of("none", "", "") +
                                            file_of("c", "empty", "")));
    CHECK(told.status == 200);
    CHECK(told.body == "a=1;a=2;b/../x.png/image/png/300000;c/empty/image/png/0;b is ../x.png");
    CHECK(content_of(folder.path() / "0") == large);
    CHECK(fs::file_size(folder.path() / "1") == 0);
    CHECK((fs::status(folder.path() / "0").permissions() & fs::perms::others_all) ==
          fs::perms::none);
    // A name that is taken is not replaced.
    const auto again = client.ask(request_of(file_of("b", "x", "other")));
    CHECK(again.body == "b/x/image/png/5;File exists;b is x");
    CHECK(content_of(folder.path() / "0") == large);
}

TEST_CASE("upload: what is too much, broken or cut leaves nothing behind",
          "[http][server][upload]") {
    const heph::test::temporary_folder folder;
    http::upload_options options;
    options.folder = folder.path();
    options.bytes_max = 10'000;
    options.file_bytes_max = 100;
    options.field_bytes_max = 10;
    options.files_max = 2;
    options.fields_max = 2;
    const http::test::test_server server(routes_for(options));
    const auto status_of = [&server](const std::string& bytes) {
        http::test::raw_client client(server.port());
        return client.ask(bytes).status;
    };
    const std::string file = file_of("f", "x", std::string(100, 'x'));
    CHECK(status_of(request_of(file_of("f", "x", std::string(101, 'x')))) == 413);
    CHECK(status_of(request_of(field_of("a", "12345678901"))) == 413);
    CHECK(status_of(request_of(file + file + file)) == 413);
    CHECK(status_of(request_of(field_of("a", "1") + field_of("a", "1") + field_of("a", "1"))) ==
          413);
    CHECK(status_of(request_of(file, std::string(20'000, '-'))) == 413);
    CHECK(status_of(request_of(file, "--XX")) == 400);
    CHECK(status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n") == 400);
    CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("upload: a folder that takes no files is an error of ours, and logged",
          "[http][server][upload]") {
    http::upload_options options;
    options.folder = "/no/such/folder";
    const http::test::test_server server(routes_for(options));
    http::test::raw_client client(server.port());
    const http::test::captured_log log;
    CHECK(client.ask(request_of(file_of("f", "x", "y"))).status == 500);
    CHECK(log.count("an upload cannot be stored in /no/such/folder") == 1);
}
