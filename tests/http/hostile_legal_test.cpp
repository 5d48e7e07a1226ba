// Requests made by the grammar of RFC 9110, 9112 and 3986: odd ones too, and all of them legal.

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "http/hostile_feed.hpp"

using heph::http::test::heard_singly;
using heph::http::test::heard_whole;

namespace {

constexpr std::string_view letters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
constexpr std::string_view token_marks = "!#$%&'*+-.^_`|~";
constexpr std::string_view path_marks = "-._~!$&'()*+,;=:@";

// Makes one legal request after the other, and what the parser has to say about each.
class maker {
public:
    struct legal_request {
        std::string bytes;
        std::string expected;
    };

    legal_request next() {
        legal_request request;
        const bool options = below(5) == 0;
        const std::string method = options ? "OPTIONS" : pick({"GET", "HEAD", "PUT", "POST"});
        const std::string target = options && below(2) == 0 ? "*" : make_target();
        const bool is_1_1 = below(4) != 0;
        keep_alive_ = is_1_1;
        fields_.clear();
        heard_.clear();
        add("Host", make_host());
        for (std::size_t count = below(6); count > 0; --count) { add_any(); }
        std::string body;
        std::string framing;
        std::string trailers;
        const std::size_t form = below(is_1_1 ? 3 : 2);
        if (form == 1) {
            body = text(20, letters);
            add(cased("Content-Length"), std::string(below(3), '0') + std::to_string(body.size()));
            framing = " length=" + std::to_string(body.size());
            request.bytes = body;
        } else if (form == 2) {
            add(cased("Transfer-Encoding"), cased("chunked"));
            framing = " chunked";
            request.bytes = make_chunks(body, trailers);
        }
        for (std::size_t count = below(3); count > 0; --count) { add_any(); }
        const std::string version = is_1_1 ? "1.1" : "1.0";
        request.bytes = std::string(below(2) == 0 ? "" : "\r\n") + method + " " + target +
                        " HTTP/" + version + "\r\n" + fields_ + "\r\n" + request.bytes;
        request.expected = method + " " + target + " HTTP/" + version +
                           (keep_alive_ ? " keep-alive" : "") + framing + "\n" + heard_ +
                           (body.empty() ? "" : "body " + body + "\n") + "end\n" + trailers;
        return request;
    }

    std::size_t below(std::size_t end) {
        return std::uniform_int_distribution<std::size_t>(0, end - 1)(random_);
    }

private:
    std::string pick(std::initializer_list<const char*> from) {
        return *std::next(from.begin(), static_cast<std::ptrdiff_t>(below(from.size())));
    }

    std::string text(std::size_t size_max, std::string_view of, std::string_view also = {}) {
        std::string made(below(size_max + 1), ' ');
        const std::string all = std::string(of) + std::string(also);
        for (char& c : made) { c = all[below(all.size())]; }
        return made;
    }

    std::string white() { return text(2, " \t"); }

    std::string cased(std::string name) {
        for (char& c : name) {
            if (below(2) == 0 && c >= 'a' && c <= 'z') { c = static_cast<char>(c - 32); }
        }
        return name;
    }

    std::string make_host() {
        const std::string port = below(2) == 0 ? "" : ":" + std::to_string(below(65'536));
        if (below(4) == 0) { return pick({"[::1]", "[fe80::2:3]", "[::ffff:1.2.3.4]"}) + port; }
        return "h" + text(12, letters, "-._~!$&'()*+,;=") + port;
    }

    // Segments begin with a letter, and so are no `.` and no `..`.
    std::string make_target() {
        std::string made = below(5) == 0 ? cased("http") + "://" + make_host() : "";
        for (std::size_t count = 1 + below(4); count > 0; --count) {
            made += "/";
            if (below(4) != 0) { made += "s" + text(8, letters, path_marks); }
            if (below(4) == 0) { made += pick({"%20", "%2F", "%fF", "%7e"}); }
        }
        if (below(2) == 0) { made += "?" + text(15, letters, "-._~!$&'()*+,;=:@/?"); }
        return made;
    }

    // Names that the state machine of a parser knows, cut or longer, or any other.
    std::string make_name() {
        std::string name = pick({"connection", "content-length", "transfer-encoding", "upgrade",
                                 "proxy-connection", "expect", "host", "keep-alive", "te"});
        switch (below(4)) {
            case 0: return cased(name).substr(0, 1 + below(name.size() - 1)) + "~";
            case 1: return cased(name) + text(2, letters, token_marks) + "1";
            case 2: return "x" + text(10, letters, token_marks);
            default: return pick({"Proxy-Connection", "Upgrade", "TE", "Keep-Alive", "Trailer"});
        }
    }

    // Of the names that `make_name` gives whole: they say how the message is passed on.
    static bool is_for_heads_only(std::string_view name) {
        return name == "Proxy-Connection" || name == "Upgrade" || name == "TE" ||
               name == "Keep-Alive" || name == "Trailer";
    }

    std::string make_value() {
        std::string value = text(20, letters, " \t,;:=\"\\()<>@[]?/{}\x80\xff!#$%&'*+-.^_`|~");
        const auto is_white = [](char c) { return c == ' ' || c == '\t'; };
        while (!value.empty() && is_white(value.front())) { value.erase(0, 1); }
        while (!value.empty() && is_white(value.back())) { value.pop_back(); }
        return value;
    }

    void add(const std::string& name, const std::string& value) {
        fields_ += name + ":" + white() + value + white() + "\r\n";
        heard_ += " " + name + "=" + value + "\n";
    }

    void add_any() {
        if (below(5) != 0) { return add(make_name(), make_value()); }
        // A list in which nothing ends the connection.
        std::string value;
        for (std::size_t count = below(4); count > 0; --count) {
            value += pick({"te", "upgrade", "keep-alives", "closed", "x-close", "", "\"close\""});
            if (count > 1) { value += white() + "," + white(); }
        }
        const std::size_t end = value.find_last_not_of(" \t");
        value = value.substr(0, end == std::string::npos ? 0 : end + 1);
        const std::size_t begin = value.find_first_not_of(" \t");
        value = value.substr(std::min(begin, value.size()));
        if (below(6) == 0) {
            value += std::string(value.empty() ? "" : ",") + cased("close");
            keep_alive_ = false;
        }
        add(cased("Connection"), value);
    }

    // `trailers` is what is to be heard of those behind the chunks.
    std::string make_chunks(std::string& body, std::string& trailers) {
        std::string made;
        for (std::size_t count = below(4); count > 0; --count) {
            const std::string piece = "p" + text(30, letters, "\r\n");
            constexpr std::string_view digits = "0123456789abcdef";
            made += std::string(below(3), '0') + digits[piece.size() / 16] +
                    digits[piece.size() % 16] + make_extensions() + "\r\n" + piece + "\r\n";
            body += piece;
        }
        made += std::string(1 + below(3), '0') + make_extensions() + "\r\n";
        for (std::size_t count = below(3); count > 0; --count) {
            const std::string name = make_name();
            const std::string value = make_value();
            made += name + ":" + white() + value + white() + "\r\n";
            if (!is_for_heads_only(name)) { trailers += "~" + name + "=" + value + "\n"; }
        }
        return made + "\r\n";
    }

    std::string make_extensions() {
        std::string made;
        for (std::size_t count = below(3); count > 0; --count) {
            made += white() + ";" + white() + "e" + text(5, letters, token_marks);
            switch (below(3)) {
                case 0: made += white() + "=" + white() + "v" + text(5, token_marks); break;
                case 1:
                    made += white() + "=" + white() + "\"" + text(5, " \t;=,\xff") + "\\\"\"";
                    break;
                default: break;
            }
        }
        return made;
    }

    std::mt19937 random_{3986};
    std::string fields_;
    std::string heard_;
    bool keep_alive_ = true;
};

}  // namespace

TEST_CASE("legal requests: whatever the grammar makes is taken as it is meant", "[http][hostile]") {
    maker make;
    std::size_t taken = 0;
    for (int round = 0; round < 20'000; ++round) {
        const auto each = make.next();
        const std::string text = heard_whole(each.bytes);
        if (text == each.expected && heard_singly(each.bytes) == text) {
            ++taken;
            continue;
        }
        CAPTURE(each.bytes);
        CHECK(heard_singly(each.bytes) == text);
        REQUIRE(text == each.expected);
    }
    CHECK(taken == 20'000);
}

TEST_CASE("legal requests: any number of them may follow each other in one piece",
          "[http][hostile]") {
    maker make;
    std::size_t taken = 0;
    for (int round = 0; round < 500; ++round) {
        std::string bytes;
        std::string expected;
        for (std::size_t count = 1 + make.below(5); count > 0; --count) {
            const auto each = make.next();
            bytes += each.bytes;
            expected += each.expected;
        }
        const std::size_t cut = make.below(bytes.size());
        heph::http::test::transcriber parts;
        parts.feed(std::string_view(bytes).substr(0, cut));
        parts.feed(std::string_view(bytes).substr(cut));
        if (parts.text() == expected && heard_whole(bytes) == expected) {
            ++taken;
            continue;
        }
        CAPTURE(bytes, cut);
        CHECK(heard_whole(bytes) == expected);
        REQUIRE(parts.text() == expected);
    }
    CHECK(taken == 500);
}
