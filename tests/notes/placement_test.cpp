#include "notes/placement.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <string>

TEST_CASE("notes placement: the order in the configuration does not matter", "[notes]") {
    const notes::placement one({"a", "b", "c"});
    const notes::placement other({"c", "a", "b"});
    for (int i = 0; i < 1000; ++i) {
        const std::string id = "note-" + std::to_string(i);
        REQUIRE(one.owner(id) == other.owner(id));
    }
}

TEST_CASE("notes placement: each node gets about its share", "[notes]") {
    const notes::placement nodes({"a", "b", "c", "d"});
    std::map<std::string, int> count;
    for (int i = 0; i < 10'000; ++i) { ++count[nodes.owner(std::to_string(i))]; }
    REQUIRE(count.size() == 4);
    for (const auto& [name, share] : count) {
        INFO(name);
        CHECK(share > 2300);
        CHECK(share < 2700);
    }
}

TEST_CASE("notes placement: one more node takes notes, and moves no others", "[notes]") {
    const notes::placement before({"a", "b"});
    const notes::placement after({"a", "b", "c"});
    int moved = 0;
    for (int i = 0; i < 3000; ++i) {
        const std::string id = std::to_string(i);
        if (after.owner(id) == "c") {
            ++moved;
        } else {
            REQUIRE(after.owner(id) == before.owner(id));
        }
    }
    CHECK(moved > 900);
    CHECK(moved < 1100);
}

TEST_CASE("notes placement: where a note is never changes from one version to the next",
          "[notes]") {
    const notes::placement nodes({"a", "b"});
    std::string owners;
    for (const char* id : {"1", "2", "3", "4", "5", "6", "7", "8", "shopping list", "\xc3\xa4"}) {
        owners += nodes.owner(id);
    }
    CHECK(owners == "aabbbbabba");
}

TEST_CASE("notes placement: the shard of a note never changes from one version to the next",
          "[notes]") {
    std::string shards;
    for (const char* id : {"1", "2", "3", "shopping list", "\xc3\xa4"}) {
        shards += std::to_string(notes::hash_of_id(id) % 16) + ' ';
    }
    CHECK(shards == "10 3 0 0 7 ");
}
