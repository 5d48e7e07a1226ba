#include "notes/note_id.hpp"

#include <catch2/catch.hpp>
#include <string>

using notes::why_bad_id;

TEST_CASE("notes id: letters, spaces, slashes and all of Unicode may name a note", "[notes]") {
    for (const std::string id : {"a", "shopping list", "2026/11/24", "...", ".a", "100%", "?q=1#x",
                                 "<b>", "\"'&", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x8d\x89",
                                 "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf"}) {
        INFO(id);
        CHECK(why_bad_id(id) == nullptr);
    }
    CHECK(why_bad_id(std::string(256, 'x')) == nullptr);
}

TEST_CASE("notes id: an empty, too long or dotted id is refused", "[notes]") {
    CHECK(why_bad_id("") != nullptr);
    CHECK(why_bad_id(std::string(257, 'x')) != nullptr);
    CHECK(why_bad_id(".") != nullptr);
    CHECK(why_bad_id("..") != nullptr);
}

TEST_CASE("notes id: control characters and line separators are refused", "[notes]") {
    for (int c = 0; c < 0x20; ++c) {
        CHECK(why_bad_id(std::string("a") + static_cast<char>(c) + "b") != nullptr);
    }
    for (const std::string id :
         {"\x7f", "\xc2\x80", "\xc2\x85", "\xc2\x9f", "\xe2\x80\xa8", "\xe2\x80\xa9"}) {
        CHECK(why_bad_id(id) != nullptr);
    }
    CHECK(why_bad_id("\xc2\xa0") == nullptr);
}

TEST_CASE("notes id: malformed UTF-8 is refused", "[notes]") {
    for (const std::string id : {
             "\x80",              // A continuation by itself.
             "\xc3",              // Cut after one of two.
             "\xe2\x82",          // Cut after two of three.
             "\xf0\x9f\x8d",      // Cut after three of four.
             "\xc3(",             // No continuation.
             "\xc0\xaf",          // "/" in two bytes.
             "\xe0\x80\xaf",      // "/" in three.
             "\xed\xa0\x80",      // A surrogate.
             "\xf4\x90\x80\x80",  // Beyond U+10FFFF.
             "\xf8\x88\x80\x80\x80",
             "\xff",
         }) {
        INFO(id);
        CHECK(why_bad_id(id) != nullptr);
        CHECK_FALSE(notes::is_utf8(id));
    }
}
