#include "notes/data_dir.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "temporary_folder.hpp"

using notes::test::temporary_folder;

namespace {

std::expected<notes::opened_log, std::string> open_log(const std::filesystem::path& path,
                                                       std::string& found,
                                                       std::string_view node = "a") {
    auto folder = notes::data_dir::open(path);
    REQUIRE(folder.has_value());
    return folder->open_log(node, [&found](const notes::record& change) {
        found += std::string(change.id) + "=" + std::string(change.body) + ";";
    });
}

void append(const std::filesystem::path& file, std::string_view bytes) {
    std::ofstream(file, std::ios::binary | std::ios::app) << bytes;
}

}  // namespace

TEST_CASE("notes data: a second opening is refused while the first lasts", "[notes]") {
    const temporary_folder folder;
    {
        const auto first = notes::data_dir::open(folder.path() / "data");
        REQUIRE(first.has_value());
        const auto second = notes::data_dir::open(folder.path() / "data");
        REQUIRE_FALSE(second.has_value());
        CHECK(second.error().find("in use by another process") != std::string::npos);
    }
    CHECK(notes::data_dir::open(folder.path() / "data").has_value());
}

TEST_CASE("notes data: what cannot be a directory is refused with its name", "[notes]") {
    const temporary_folder folder;
    append(folder.path() / "file", "x");
    const auto opened = notes::data_dir::open(folder.path() / "file");
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().find("file") != std::string::npos);
    CHECK_FALSE(notes::data_dir::open(folder.path() / "file" / "below").has_value());
}

TEST_CASE("notes data: a log is made, written, cut and read again", "[notes]") {
    const temporary_folder folder;
    const auto file = folder.path() / "notes.log";
    std::string found;
    std::uint64_t whole = 0;
    {
        const auto made = open_log(folder.path(), found);
        REQUIRE(made.has_value());
        CHECK(made->found.good_bytes == notes::log_header_bytes);
        CHECK(made->path == file);
        CHECK_FALSE(std::filesystem::exists(folder.path() / "notes.log.new"));

        notes::frame_builder builder(made->found.salt, 1);
        builder.add({notes::record_kind::put, "id", "text/plain", "body"});
        const auto frame = std::move(builder).finish();
        append(file, frame.view());
        whole = std::filesystem::file_size(file);
        append(file, frame.view().substr(0, 20));
    }  // It is locked for as long as it is open.
    {
        const auto torn = open_log(folder.path(), found);
        REQUIRE(torn.has_value());
        CHECK(found == "id=body;");
        REQUIRE(torn->found.tail);
        CHECK(torn->found.tail->bytes == 20);
        CHECK(std::filesystem::file_size(file) == whole);
    }
    found.clear();
    const auto again = open_log(folder.path(), found);
    REQUIRE(again.has_value());
    CHECK(found == "id=body;");
    CHECK_FALSE(again->found.tail);
    CHECK(again->found.next_sequence == 2);
}

TEST_CASE("notes data: a log is not opened while its file is open elsewhere", "[notes]") {
    const temporary_folder folder;
    const auto open = [&folder] {
        // The folder itself is free, as it is when a process has ended.
        const auto directory = notes::data_dir::open(folder.path());
        REQUIRE(directory.has_value());
        return directory->open_log("a", [](const notes::record&) {}, std::chrono::milliseconds(50));
    };
    SECTION("a new one") {
        auto first = open();
        REQUIRE(first.has_value());
        const auto second = open();
        REQUIRE_FALSE(second.has_value());
        CHECK(second.error().find("in use") != std::string::npos);
        first = std::unexpected(std::string());
        CHECK(open().has_value());
    }
    SECTION("one that was there") {
        REQUIRE(open().has_value());
        const auto first = open();
        REQUIRE(first.has_value());
        CHECK_FALSE(open().has_value());
    }
}

TEST_CASE("notes data: a damaged or foreign log stops the start, with file and offset", "[notes]") {
    const temporary_folder folder;
    std::string found;
    REQUIRE(open_log(folder.path(), found).has_value());

    const auto other_node = open_log(folder.path(), found, "b");
    REQUIRE_FALSE(other_node.has_value());
    CHECK(other_node.error().find("belongs to another node") != std::string::npos);

    std::ofstream(folder.path() / "notes.log", std::ios::binary) << "a shopping list";
    const auto foreign = open_log(folder.path(), found);
    REQUIRE_FALSE(foreign.has_value());
    CHECK(foreign.error() == (folder.path() / "notes.log").string() +
                                 " is not a log of notes, or one of another version (at byte 0)");
    CHECK(std::filesystem::file_size(folder.path() / "notes.log") == 15);
}

TEST_CASE("notes data: an empty log, as a crash may leave, is made anew", "[notes]") {
    const temporary_folder folder;
    append(folder.path() / "notes.log", "");
    std::string found;
    REQUIRE(open_log(folder.path(), found).has_value());
    CHECK(std::filesystem::file_size(folder.path() / "notes.log") == notes::log_header_bytes);
}

TEST_CASE("notes data: a rewritten log holds the notes, and can be appended to", "[notes]") {
    const temporary_folder folder;
    std::string found;
    auto old = open_log(folder.path(), found);
    REQUIRE(old.has_value());

    notes::note_table table;
    std::string expected;
    for (const char* id : {"a", "b", "c"}) {
        // Two of these do not fit into one frame.
        const std::string body(notes::frame_payload_bytes_max / 3 * 2, *id);
        (void)table.put(id, std::make_shared<const notes::note>(notes::note{"text/plain", body}));
        expected += id + ("=" + body) + ";";
    }
    {
        const auto locked = notes::data_dir::open(folder.path());
        REQUIRE(locked.has_value());
        const auto rewritten = locked->rewrite_log("a", table);
        REQUIRE(rewritten.has_value());
        CHECK(rewritten->found.records == 3);
        notes::frame_builder builder(rewritten->found.salt, rewritten->found.next_sequence);
        builder.add({notes::record_kind::put, "d", "text/plain", "later"});
        append(rewritten->path, std::move(builder).finish().view());
    }
    const auto again = open_log(folder.path(), found);
    REQUIRE(again.has_value());
    CHECK(found == expected + "d=later;");
    CHECK(again->found.next_sequence == 5);
}

TEST_CASE("notes data: a log is rewritten when most of it is garbage, and large", "[notes]") {
    notes::note_table table;
    notes::recovery found;
    found.good_bytes = 1'000'000;
    CHECK_FALSE(notes::is_worth_rewriting(found, table));
    found.good_bytes = 17 * 1024 * 1024;
    CHECK(notes::is_worth_rewriting(found, table));
    const std::string body(10 * 1024 * 1024, 'x');
    (void)table.put("id", std::make_shared<const notes::note>(notes::note{"", body}));
    CHECK_FALSE(notes::is_worth_rewriting(found, table));
    found.good_bytes = 37 * 1024 * 1024;
    CHECK(notes::is_worth_rewriting(found, table));
}
