#include <algorithm>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include <heph/http/multipart.hpp>

#include "raw_client.hpp"
#include "test_server.hpp"

namespace http = heph::http;
using heph::task;
using http::multipart_parser;
using namespace std::string_literals;

namespace {

/// Writes what a parser tells of a form, `step` bytes at a time: `[name|filename|type] data /`.
std::string told_in_steps(std::string_view bytes, std::size_t step, http::multipart_limits bounds) {
    multipart_parser parser("XX", bounds);
    std::string told;
    while (!bytes.empty()) {
        std::string_view input = bytes.substr(0, step);
        bytes.remove_prefix(input.size());
        for (;;) {
            const auto found = parser.next(input);
            using kind = multipart_parser::event_kind;
            if (found.kind == kind::need_input) { break; }
            switch (found.kind) {
                case kind::part:
                    told += "[" + parser.part().name + "|" + parser.part().filename.value_or("-") +
                            "|" + parser.part().content_type + "]";
                    break;
                case kind::data: told += found.data; break;
                case kind::part_end: told += "/"; break;
                case kind::end: told += "."; break;
                default: return told + "error " + std::to_string(code(status_of(found.failure)));
            }
        }
    }
    return told;
}

/// The same however the bytes are cut.
std::string told_of(std::string_view bytes, http::multipart_limits bounds = {}) {
    const std::string whole = told_in_steps(bytes, bytes.size(), bounds);
    for (std::size_t step = 1; step < std::min<std::size_t>(bytes.size(), 40); ++step) {
        CHECK(told_in_steps(bytes, step, bounds) == whole);
    }
    return whole;
}

std::string part(std::string_view disposition, std::string_view data,
                 std::string_view more_lines = {}) {
    return "--XX\r\nContent-Disposition: " + std::string(disposition) + "\r\n" +
           std::string(more_lines) + "\r\n" + std::string(data) + "\r\n";
}

}  // namespace

TEST_CASE("multipart: the parts of a form come one after the other", "[http][multipart]") {
    CHECK(told_of(part("form-data; name=\"a\"", "1") +
                  part("form-data; name=\"f\"; filename=\"x.png\"", "\x89PNG\r\n\x1a\n"s,
                       "Content-Type: image/png\r\n") +
                  "--XX--\r\n") == "[a|-|text/plain]1/[f|x.png|image/png]\x89PNG\r\n\x1a\n/.");
    CHECK(told_of(part("form-data; name=a", "1", "Content-Type: \r\n") + "--XX--") ==
          "[a|-|text/plain]1/.");
    CHECK(told_of("--XX--\r\n") == ".");
    CHECK(told_of("preamble\r\n--XX--epilogue\r\n--XX\r\n") == ".");
    CHECK(told_of(part("form-data; name=a", "") + "--XX--") == "[a|-|text/plain]/.");
    CHECK(told_of("--XX \t\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--XX-- ") ==
          "[a|-|text/plain]x/.");
}

TEST_CASE("multipart: what looks like a delimiter and is none is data", "[http][multipart]") {
    for (const std::string_view data : {"-XX", "--X", "\r\n-XX", "\r\n--X", "\r\r\n--XY",
                                        "\n--XX--\n", "x--XX--", "\r\n\r\n", "-"}) {
        CAPTURE(data);
        CHECK(told_of(part("form-data; name=a", data) + "--XX--") ==
              "[a|-|text/plain]" + std::string(data) + "/.");
    }
}

TEST_CASE("multipart: an empty part may end right behind its head", "[http][multipart]") {
    // Such a part was read on as if it had data, up to the next delimiter, and beyond it.
    const std::string head = "--XX\r\nContent-Disposition: form-data; name=";
    CHECK(told_of(head + "a\r\n\r\n--XX--\r\n") == "[a|-|text/plain]/.");
    CHECK(told_of(head + "a\r\n\r\n" + head + "b\r\n\r\n" + head + "c\r\n\r\nx\r\n--XX--") ==
          "[a|-|text/plain]/[b|-|text/plain]/[c|-|text/plain]x/.");
    CHECK(told_of(head + "a\r\n\r\n--XX \r\n" + head.substr(6) + "b\r\n\r\n--XX--") ==
          "[a|-|text/plain]/[b|-|text/plain]/.");
    // What begins with the delimiter is no data, here as elsewhere.
    CHECK(told_of(head + "a\r\n\r\n--XXY\r\n--XX--") == "[a|-|text/plain]/error 400");
    CHECK(told_of(head + "a\r\n\r\nx\r\n--XXY\r\n--XX--") == "[a|-|text/plain]x/error 400");
}

TEST_CASE("multipart: a line of a part's head may be folded", "[http][multipart]") {
    CHECK(told_of("--XX\r\nContent-Type: text/plain;\r\n\tcharset=utf-8\r\n"
                  "Content-Disposition:\r\n form-data;\r\n \tname=a\r\n\r\nx\r\n--XX--") ==
          "[a|-|text/plain;\tcharset=utf-8]x/.");
    CHECK(told_of("--XX\r\n folded: nothing\r\n" + part("form-data; name=a", "x").substr(6) +
                  "--XX--") == "error 400");
    CHECK(told_of("--XX\r\nContent-Disposition\r\n : form-data; name=a\r\n\r\nx\r\n--XX--") ==
          "error 400");
}

TEST_CASE("multipart: names and file names are read as browsers write them", "[http][multipart]") {
    const auto named = [](std::string_view disposition) {
        return told_of(part(disposition, "") + "--XX--");
    };
    CHECK(named("form-data; name=\"a;b\"") == "[a;b|-|text/plain]/.");
    CHECK(named("form-data; name=\"a\\\"b\"") == "[a\"b|-|text/plain]/.");
    CHECK(named("Form-Data; NAME=\"\"; FileName=\"\"") == "[||text/plain]/.");
    CHECK(named("form-data; filename=\"C:\\dir\\x.txt\"; name=\"f\"") ==
          "[f|C:\\dir\\x.txt|text/plain]/.");
    CHECK(named("form-data; name=\"\xc3\xa4\"") == "[\xc3\xa4|-|text/plain]/.");
    CHECK(named("form-data ; name=a ; other=b ;") == "[a|-|text/plain]/.");
}

TEST_CASE("multipart: a file name that ends with a backslash fails no form", "[http][multipart]") {
    // Browsers escape quotes alone, and these as `%22`; the last one was taken for escaped.
    const auto named = [](std::string_view disposition) {
        return told_of(part(disposition, "") + "--XX--");
    };
    CHECK(named(R"(form-data; name="f"; filename="x\")") == "[f|x\\|text/plain]/.");
    CHECK(named(R"(form-data; filename="x\"; name="f")") == "[f|x\\|text/plain]/.");
    CHECK(named(R"(form-data; name="a\"; filename="b\")") == "[a\\|b\\|text/plain]/.");
    CHECK(named(R"(form-data; name="f"; filename="a\b\")") == "[f|a\\b\\|text/plain]/.");
    // What can be read with escapes is.
    CHECK(named(R"(form-data; name="a\"; filename=\"b")") == "[a\"; filename=\"b|-|text/plain]/.");
    CHECK(named(R"(form-data; name="f"; filename="x\\")") == "[f|x\\|text/plain]/.");
    // Good in neither way.
    CHECK(named(R"(form-data; name="f"; filename="x\"y)") == "error 400");
    CHECK(named(R"(form-data; name="f\"; name="g")") == "error 400");
}

TEST_CASE("multipart: an extended file name is one, and goes before another", "[http][multipart]") {
    // It was taken for a plain field, whose value is kept in memory.
    const auto named = [](std::string_view disposition) {
        return told_of(part(disposition, "") + "--XX--");
    };
    CHECK(named("form-data; name=f; filename*=utf-8''n%C3%A4me%20of.txt") ==
          "[f|n\xc3\xa4me of.txt|text/plain]/.");
    CHECK(named("form-data; name=f; filename*=\"UTF-8'de'x\"") == "[f|x|text/plain]/.");
    CHECK(named("form-data; filename*=utf-8''x; name=f; filename=y") == "[f|x|text/plain]/.");
    CHECK(named("form-data; name=f; filename=\"=?utf-8?B?w6Q=?=\"; filename*=utf-8''%C3%A4") ==
          "[f|\xc3\xa4|text/plain]/.");
    CHECK(named("form-data; name=f; filename=y; filename*=utf-8''%ff") == "[f|y|text/plain]/.");
    // What cannot be read tells nothing.
    for (const std::string_view bad : {"x", "utf-8'x", "latin-1''x", "utf-8''%", "utf-8''%ff"}) {
        CAPTURE(bad);
        CHECK(named("form-data; name=f; filename*=" + std::string(bad)) == "[f|-|text/plain]/.");
    }
}

TEST_CASE("multipart: what is malformed is refused", "[http][multipart]") {
    const auto first_line = [](std::string_view disposition) {
        return told_of(part(disposition, "x") + "--XX--");
    };
    for (const std::string_view bad :
         {"form-data", "form-data; filename=a", "attachment; name=a", "form-data; name=\"a",
          "form-data; name=a; name=b", "form-data; name", "form-data name=a", "form-data; name=a b",
          "form-data; name=a; filename=b; filename=c"}) {
        CAPTURE(bad);
        CHECK(first_line(bad) == "error 400");
    }
    CHECK(told_of("--XXY\r\n") == "error 400");
    CHECK(told_of("--XX\n") == "error 400");
    CHECK(told_of("--XX\r\n\r\nx\r\n--XX--") == "error 400");
    CHECK(told_of("--XX\r\nno colon\r\n\r\n") == "error 400");
    CHECK(told_of("--XX\r\nContent-Disposition : form-data; name=a\r\n\r\n") == "error 400");
    CHECK(told_of(part("form-data; name=a", "x", "Content-Disposition: form-data; name=b\r\n")) ==
          "error 400");
    // Cut short, it is not complete.
    CHECK(told_of(part("form-data; name=a", "x") + "--XX") == "[a|-|text/plain]x/");
}

TEST_CASE("multipart: parts and their heads are limited", "[http][multipart]") {
    http::multipart_limits bounds;
    bounds.parts_max = 2;
    bounds.part_head_bytes_max = 100;
    const std::string one = part("form-data; name=a", "x");
    CHECK(told_of(one + one + "--XX--", bounds) == "[a|-|text/plain]x/[a|-|text/plain]x/.");
    CHECK(told_of(one + one + one + "--XX--", bounds) ==
          "[a|-|text/plain]x/[a|-|text/plain]x/error 413");
    CHECK(told_of(part("form-data; name=a", "x", "X: " + std::string(100, 'a') + "\r\n"), bounds) ==
          "error 400");
    CHECK(told_of("--XX\r\nX: " + std::string(200, 'a'), bounds) == "error 400");
    CHECK(told_of("--XX" + std::string(200, ' '), bounds) == "error 400");
    // The last length that is taken, and the next one: a line of the head is as long as it is
    // filled.
    const std::string head = "\r\nContent-Disposition: form-data; name=a\r\nX: ";
    const auto filled = [&](std::size_t size) {
        return "--XX" + head + std::string(size - head.size(), 'a') + "\r\n\r\nx\r\n--XX--";
    };
    CHECK(told_of(filled(100), bounds) == "[a|-|text/plain]x/.");
    CHECK(told_of(filled(101), bounds) == "error 400");
    const auto blanks = [&](std::size_t size) {
        return "--XX" + std::string(size, ' ') + "\r\nContent-Disposition: form-data; name=a" +
               "\r\n\r\nx\r\n--XX--";
    };
    CHECK(told_of(blanks(100), bounds) == "[a|-|text/plain]x/.");
    CHECK(told_of(blanks(101), bounds) == "error 400");
}

TEST_CASE("multipart: the boundary is that of a form", "[http][multipart]") {
    using http::multipart_boundary;
    CHECK(multipart_boundary("multipart/form-data; boundary=abc") == "abc");
    CHECK(multipart_boundary("Multipart/Form-Data; charset=utf-8; Boundary=\"a b:c\"") == "a b:c");
    // As some mail libraries write it: it was refused for its `=`.
    CHECK(multipart_boundary("multipart/form-data; boundary=----=_Part_1_2.3") ==
          "----=_Part_1_2.3");
    CHECK(multipart_boundary("multipart/form-data; boundary=a/b:c?d ; charset=utf-8") == "a/b:c?d");
    const std::string longest(70, 'b');
    CHECK(multipart_boundary("multipart/form-data; boundary=" + longest) == longest);
    for (const std::string_view bad :
         {"", "multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=a",
          "multipart/mixed; boundary=a", "multipart/form-data; boundary=a; boundary=b",
          "multipart/form-data; boundary=\"a \"", "multipart/form-data; boundary=\"a",
          "multipart/form-data; boundary=a\x01", "multipart/form-data; boundary=a b",
          "multipart/form-data; boundary=a, multipart/form-data",
          "multipart/form-data; boundary="}) {
        CAPTURE(bad);
        CHECK_FALSE(multipart_boundary(bad));
    }
    CHECK_FALSE(multipart_boundary("multipart/form-data; boundary=b" + longest));
}

namespace {

/// Answers with what the form says: names, and values or sizes.
task<http::response> describe(http::request& asked) {
    auto form = http::multipart_reader::of(asked);
    if (!form) { co_return http::response::problem(form.error()); }
    std::string text;
    for (;;) {
        const auto part = co_await form->next_part();
        if (!part) { co_return http::response::problem(part.error()); }
        if (*part == nullptr) { co_return http::response::text(text); }
        text += (*part)->name + "=";
        if ((*part)->name == "skipped") { continue; }
        if (!(*part)->filename) {
            const auto value = co_await form->read_part(10);
            if (!value) { co_return http::response::problem(value.error()); }
            text += *value + ";";
            continue;
        }
        std::size_t size = 0;
        for (;;) {
            const auto piece = co_await form->next();
            if (!piece) { co_return http::response::problem(piece.error()); }
            if (piece->empty()) { break; }
            size += piece->size();
        }
        text += std::to_string(size) + ";";
    }
}

}  // namespace

TEST_CASE("multipart: a server reads a form as it comes", "[http][server][multipart]") {
    http::router routes;
    routes.post("/", describe);
    const http::test::test_server server(std::move(routes));
    http::test::raw_client client(server.port());
    const std::string type = "Content-Type: multipart/form-data; boundary=XX\r\n";
    const auto ask = [&](const std::string& body) {
        return client.ask(http::test::post_request("/", body, type));
    };
    const auto good = ask(part("form-data; name=a", "1") +
                          part("form-data; name=skipped", std::string(100'000, 's')) +
                          part("form-data; name=f; filename=x", std::string(500'000, 'x')) +
                          part("form-data; name=b", "2") + "--XX--\r\n");
    CHECK(good.status == 200);
    CHECK(good.body == "a=1;skipped=f=500000;b=2;");
    CHECK(ask(part("form-data; name=a", "1")).status == 400);
    CHECK(ask(part("form-data; name=a", "12345678901") + "--XX--").status == 413);
    CHECK(ask("").status == 400);
    CHECK(client.ask(http::test::post_request("/", "a=b")).status == 400);
}
