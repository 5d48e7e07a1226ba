#include <string>

#include <catch2/catch.hpp>

#include <heph/http/url.hpp>

namespace http = heph::http;

namespace {

std::string normal(std::string_view text) {
    const auto parsed = http::url::parse(text);
    return parsed ? parsed->to_string() : std::string(message(parsed.error()));
}

std::string resolved(std::string_view reference) {
    const auto base = http::url::parse("http://a/b/c/d;p?q");
    const auto made = base->resolve(reference);
    return made ? made->to_string() : std::string(message(made.error()));
}

}  // namespace

TEST_CASE("url: one is taken apart and put together", "[http][url]") {
    const auto parsed = http::url::parse("HTTP://Example.COM:8080/a%20b?c=d&e#f");
    REQUIRE(parsed);
    CHECK(parsed->scheme == "http");
    CHECK(parsed->host == "example.com");
    CHECK(parsed->port == 8080);
    CHECK(parsed->target == "/a%20b?c=d&e");
    CHECK(parsed->authority() == "example.com:8080");
    CHECK(parsed->origin() == "http://example.com:8080");
    CHECK(parsed->to_string() == "http://example.com:8080/a%20b?c=d&e");
}

TEST_CASE("url: what is left out has its default", "[http][url]") {
    CHECK(normal("http://a") == "http://a/");
    CHECK(normal("https://a:443?x") == "https://a/?x");
    CHECK(normal("http://a:80/") == "http://a/");
    CHECK(normal("http://a:/") == "http://a/");
    CHECK(normal("http://[::1]:8080/x") == "http://[::1]:8080/x");
    CHECK(http::url::parse("http://[::1]/")->host == "::1");
    CHECK(http::url::parse("https://a/")->origin() == "https://a:443");
}

TEST_CASE("url: what no target may have is encoded, what is encoded stays", "[http][url]") {
    CHECK(normal("http://a/b c") == "http://a/b%20c");
    CHECK(normal("http://a/\xc3\xa4?\xc3\xa4") == "http://a/%C3%A4?%C3%A4");
    CHECK(normal("http://a/%41%zz%") == "http://a/%41%25zz%25");
    CHECK(normal("http://a/x\r\nHost: b") == "http://a/x%0D%0AHost:%20b");
    CHECK(normal("http://a/{x}[y]|\"\\`^<>") == "http://a/%7Bx%7D%5By%5D%7C%22%5C%60%5E%3C%3E");
    CHECK(normal("http://a/?a=b/c?d") == "http://a/?a=b/c?d");
}

TEST_CASE("url: a host is decoded, and then made of what names have", "[http][url]") {
    // It was kept encoded, and looked up as such.
    CHECK(normal("http://ex%61mple%2Ecom/") == "http://example.com/");
    CHECK(normal("http://%41%7e/") == "http://a~/");
    CHECK(http::url::parse("http://%61/")->origin() == http::url::parse("http://A/")->origin());
    for (const char* text :
         {"http://a%0Db/", "http://a%20b/", "http://a%2Fb/", "http://a%3A80/", "http://a%40b/",
          "http://a%25/", "http://%5B::1%5D/", "http://b%C3%BCcher.test/"}) {
        CAPTURE(text);
        CHECK(http::url::parse(text) == std::unexpected(http::error::bad_host));
    }
}

TEST_CASE("url: an address is written in one way only", "[http][url]") {
    // Other ways were taken for names, and then by the system for the addresses that they are.
    CHECK(normal("http://127.0.0.1/") == "http://127.0.0.1/");
    CHECK(normal("http://127.0.0.1./") == "http://127.0.0.1/");
    CHECK(normal("http://%31%32%37.0.0.1/") == "http://127.0.0.1/");
    CHECK(normal("http://a.0x7g/") == "http://a.0x7g/");
    CHECK(normal("http://1.2.3.4a/") == "http://1.2.3.4a/");
    CHECK(normal("http://1.com./") == "http://1.com./");
    CHECK(normal("http://[0:0::0:1]:8080/") == "http://[::1]:8080/");
    CHECK(normal("http://[2001:DB8:0:0:1::1]/") == "http://[2001:db8::1:0:0:1]/");
    CHECK(normal("http://[::FFFF:7f00:1]/") == "http://[::ffff:127.0.0.1]/");
    // Without its brackets it would pass for a name.
    CHECK(http::url::parse("http://[V1.internal]/") == std::unexpected(http::error::bad_host));
    for (const char* text :
         {"http://2130706433/", "http://127.1/", "http://0x7f.1/", "http://0X7F000001/",
          "http://0177.0.0.1/", "http://127.0.0.01/", "http://1.2.3.4.5/", "http://256.0.0.1/",
          "http://0x/", "http://foo.1/", "http://0./", "http://127.0.0.0x1./", "http://1..2/"}) {
        CAPTURE(text);
        CHECK(http::url::parse(text) == std::unexpected(http::error::bad_host));
    }
}

TEST_CASE("url: what is none for us is refused", "[http][url]") {
    for (const char* text : {"",
                             "a",
                             "/a",
                             "//a/b",
                             "ftp://a/",
                             "http:",
                             "http:/a",
                             "http:a",
                             "file:///a",
                             "http://",
                             "http:///x",
                             "http://user@a/",
                             "http://u:p@a/",
                             "http://a:99999/",
                             "http://a:0/",
                             "http://a:x/",
                             "http://[::1/",
                             "http://[x]/",
                             "http://a b/",
                             "http://:80/",
                             "javascript:alert(1)",
                             " http://a/",
                             "http://a\\b/"}) {
        CAPTURE(text);
        CHECK_FALSE(http::url::parse(text).has_value());
    }
}

TEST_CASE("url: references resolve as in RFC 3986, 5.4", "[http][url]") {
    CHECK(resolved("g") == "http://a/b/c/g");
    CHECK(resolved("./g") == "http://a/b/c/g");
    CHECK(resolved("g/") == "http://a/b/c/g/");
    CHECK(resolved("/g") == "http://a/g");
    CHECK(resolved("//g") == "http://g/");
    CHECK(resolved("?y") == "http://a/b/c/d;p?y");
    CHECK(resolved("g?y") == "http://a/b/c/g?y");
    CHECK(resolved("#s") == "http://a/b/c/d;p?q");
    CHECK(resolved("g#s") == "http://a/b/c/g");
    CHECK(resolved(";x") == "http://a/b/c/;x");
    CHECK(resolved("") == "http://a/b/c/d;p?q");
    CHECK(resolved(".") == "http://a/b/c/");
    CHECK(resolved("./") == "http://a/b/c/");
    CHECK(resolved("..") == "http://a/b/");
    CHECK(resolved("../g") == "http://a/b/g");
    CHECK(resolved("../..") == "http://a/");
    CHECK(resolved("../../g") == "http://a/g");
    CHECK(resolved("../../../g") == "http://a/g");
    CHECK(resolved("/./g") == "http://a/g");
    CHECK(resolved("/../g") == "http://a/g");
    CHECK(resolved("g.") == "http://a/b/c/g.");
    CHECK(resolved("..g") == "http://a/b/c/..g");
    CHECK(resolved("./../g") == "http://a/b/g");
    CHECK(resolved("g/./h") == "http://a/b/c/g/h");
    CHECK(resolved("g/../h") == "http://a/b/c/h");
    CHECK(resolved("g;x=1/../y") == "http://a/b/c/y");
    CHECK(resolved("g?y/../x") == "http://a/b/c/g?y/../x");
    CHECK(resolved("%2e%2E/g") == "http://a/b/g");
    CHECK(resolved("https://x/y") == "https://x/y");
    CHECK(resolved("//x:81/y") == "http://x:81/y");
    CHECK_FALSE(resolved("mailto:a@b").starts_with("http"));
    CHECK_FALSE(resolved("//u@x/").starts_with("http"));
}
