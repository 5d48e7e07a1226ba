#include <array>
#include <initializer_list>
#include <string>

#include <catch2/catch.hpp>

#include <heph/http/negotiation.hpp>

namespace http = heph::http;

namespace {

using offers = std::initializer_list<std::string_view>;

http::headers with(std::string_view name, std::initializer_list<std::string_view> values) {
    http::headers made;
    for (const std::string_view value : values) { made.append(name, value); }
    return made;
}

std::string name_of(std::optional<std::size_t> chosen, offers from) {
    return chosen ? std::string(from.begin()[*chosen]) : "none";
}

std::string media(offers from, std::initializer_list<std::string_view> accept) {
    return name_of(http::choose_media_type(with("Accept", accept), {from.begin(), from.size()}),
                   from);
}

std::string encoding(offers from, std::initializer_list<std::string_view> accept) {
    return name_of(
        http::choose_encoding(with("Accept-Encoding", accept), {from.begin(), from.size()}), from);
}

std::string language(offers from, std::initializer_list<std::string_view> accept) {
    return name_of(
        http::choose_language(with("Accept-Language", accept), {from.begin(), from.size()}), from);
}

}  // namespace

TEST_CASE("negotiation: the best-liked media type is chosen, else the first",
          "[http][negotiation]") {
    const offers both{"text/html", "application/json"};
    CHECK(media(both, {}) == "text/html");
    CHECK(media(both, {""}) == "text/html");
    CHECK(media(both, {"*/*"}) == "text/html");
    CHECK(media(both, {"application/json"}) == "application/json");
    CHECK(media(both, {"application/*;q=0.5, text/html;q=0.4"}) == "application/json");
    CHECK(media(both, {"text/html;q=0.9", "Application/JSON"}) == "application/json");
    CHECK(media(both, {"text/*;q=0.1,*/*;q=0.2"}) == "application/json");
    CHECK(media(both, {"image/png"}) == "none");
    CHECK(media(both, {"text/html;q=0, */*"}) == "application/json");
    CHECK(media(both, {"*/*;q=0"}) == "none");
    CHECK(media(both, {"text/htm"}) == "none");
    CHECK(media(both, {"text"}) == "none");
}

TEST_CASE("negotiation: the most specific range counts, with its parameters",
          "[http][negotiation]") {
    const offers levels{"text/html;level=1", "text/html", "text/plain", "image/jpeg"};
    // The example of RFC 9110, 12.5.1, with its order of preference.
    const auto of = [](std::string_view one) {
        http::headers request =
            with("Accept", {"text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, "
                            "text/plain;format=fixed;q=0.4, */*;q=0.5"});
        std::array<std::string_view, 2> pair{one, "text/other"};
        return http::choose_media_type(request, pair) == std::size_t{0};
    };
    CHECK(of("text/plain;format=flowed"));
    CHECK(of("text/plain;format=fixed"));
    CHECK(of("image/jpeg"));
    CHECK(of("text/html"));  // As well liked as the other, and the first.
    CHECK(media(levels, {"text/html;level=2, text/html;q=0.2, text/plain;q=0.1"}) ==
          "text/html;level=1");
    CHECK(media(levels, {"text/html;level=1;q=0, text/html;q=0.2"}) == "text/html");
    CHECK(media({"a/b;x=\"1,2\""}, {"a/b;x=\"1,2\""}) == "a/b;x=\"1,2\"");
    // Quotes make no other value.
    CHECK(media({"a/b;x=1"}, {"a/b;x=\"1\""}) == "a/b;x=1");
    CHECK(media({"a/b;x=\"1\""}, {"a/b;X=1"}) == "a/b;x=\"1\"");
    CHECK(media({"a/b;x=\"1;\\\"2\""}, {"a/b;x=\"1;\\\"\\2\""}) == "a/b;x=\"1;\\\"2\"");
    CHECK(media({"a/b;x=\"1\""}, {"a/b;x=\"2\", a/b;y=1, a/b;x"}) == "none");
}

TEST_CASE("negotiation: malformed weights count as not wanted", "[http][negotiation]") {
    for (const char* weight :
         {"2", "1.1", "1.0001", "-1", ".", "a", "1.", "0.5a", ".5a", "5", ""}) {
        CAPTURE(weight);
        const bool wanted = std::string_view(weight) == "1.";  // Legal: "1" and no digits.
        CHECK((media({"a/b"}, {std::string("a/b;q=") + weight}) == "a/b") == wanted);
    }
    CHECK(media({"a/b"}, {"a/b;q=0.001"}) == "a/b");
    CHECK(media({"a/b"}, {"a/b;Q=1.000"}) == "a/b");
    CHECK(media({"a/b"}, {",;,a/b;;,"}) == "a/b");
}

TEST_CASE("negotiation: weights as clients in wide use write them are weights",
          "[http][negotiation]") {
    // What Java sends by itself; all was refused.
    const auto java = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2";
    CHECK(media({"application/json"}, {java}) == "application/json");
    CHECK(media({"application/json", "text/html"}, {java}) == "text/html");
    CHECK(media({"a/b", "c/d"}, {"a/b;q=.25, c/d;q=.3"}) == "c/d");
    CHECK(media({"a/b", "c/d"}, {"a/b;q=0.3333, c/d;q=0.66667"}) == "c/d");
    CHECK(media({"a/b"}, {"a/b;q=1.00000"}) == "a/b");
    CHECK(media({"a/b"}, {"a/b;q=0.0000"}) == "none");
}

TEST_CASE("negotiation: identity is the last resort, unless it is excluded",
          "[http][negotiation]") {
    const offers codings{"br", "gzip", "identity"};
    CHECK(encoding(codings, {}) == "identity");
    CHECK(encoding(codings, {""}) == "identity");
    CHECK(encoding(codings, {"gzip, deflate, br"}) == "br");
    CHECK(encoding(codings, {"gzip;q=1.0, br;q=0.5"}) == "gzip");
    CHECK(encoding(codings, {"gzip;q=0.001"}) == "gzip");
    CHECK(encoding(codings, {"x-gzip"}) == "gzip");
    CHECK(encoding(codings, {"*"}) == "br");
    CHECK(encoding(codings, {"br;q=0, *"}) == "gzip");
    CHECK(encoding(codings, {"zstd"}) == "identity");
    CHECK(encoding(codings, {"identity, gzip;q=0.5"}) == "identity");
    CHECK(encoding(codings, {"gzip;q=0, br;q=0"}) == "identity");
    CHECK(encoding(codings, {"identity;q=0, gzip;q=0"}) == "none");
    CHECK(encoding(codings, {"*;q=0"}) == "none");
    CHECK(encoding(codings, {"*;q=0, identity"}) == "identity");
}

TEST_CASE("negotiation: a language is chosen by its longest match", "[http][negotiation]") {
    const offers languages{"en", "de", "de-AT"};
    CHECK(language(languages, {}) == "en");
    CHECK(language(languages, {"de"}) == "de");
    CHECK(language(languages, {"de-AT, de;q=0.5"}) == "de-AT");
    CHECK(language(languages, {"en-GB, de;q=0.9"}) == "en");
    CHECK(language(languages, {"fr, *;q=0.1"}) == "en");
    CHECK(language(languages, {"fr"}) == "none");
    CHECK(language(languages, {"d"}) == "none");
    CHECK(language(languages, {"en;q=0, *"}) == "de");
}
