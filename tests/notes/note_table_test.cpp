#include "notes/note_table.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace {

std::shared_ptr<const notes::note> make_note(std::string body) {
    return std::make_shared<const notes::note>(notes::note{"t", std::move(body)});
}

}  // namespace

TEST_CASE("notes table: put tells new from replaced, remove tells there from absent", "[notes]") {
    notes::note_table table;
    CHECK(table.put("a", make_note("1")));
    CHECK_FALSE(table.put("a", make_note("22")));
    REQUIRE(table.find("a") != nullptr);
    CHECK(table.find("a")->body == "22");
    CHECK(table.content_bytes() == 4);
    CHECK(table.find("b") == nullptr);
    CHECK(table.remove("a"));
    CHECK_FALSE(table.remove("a"));
    CHECK(table.find("a") == nullptr);
    CHECK(table.size() == 0);
    CHECK(table.content_bytes() == 0);
}

TEST_CASE("notes table: a note that is being read outlives its replacement", "[notes]") {
    notes::note_table table;
    (void)table.put("a", make_note("old"));
    const auto reading = table.find("a");
    (void)table.put("a", make_note("new"));
    CHECK(reading->body == "old");
}

TEST_CASE("notes table: pages list every id once, in order", "[notes]") {
    notes::note_table table;
    std::vector<std::string> expected;
    for (int i = 100; i < 400; ++i) {
        expected.push_back("note-" + std::to_string(i));
        (void)table.put(expected.back(), make_note("x"));
    }
    for (const std::size_t bytes : {1U, 9U, 100U, 1'000'000U}) {
        std::vector<std::string> listed;
        notes::id_page page;
        do {
            page = table.ids_after(listed.empty() ? "" : listed.back(), bytes);
            REQUIRE_FALSE(page.ids.empty());
            listed.insert(listed.end(), page.ids.begin(), page.ids.end());
        } while (!page.is_last);
        CHECK(listed == expected);
    }
    CHECK(notes::note_table().ids_after("", 10).is_last);
}
