#include "notes/note_log.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

namespace {

using notes::record;
using notes::record_kind;

class memory_source final : public notes::log_source {
public:
    explicit memory_source(std::string bytes) : bytes_(std::move(bytes)) {}
    [[nodiscard]] std::uint64_t size() const noexcept override { return bytes_.size(); }
    std::expected<void, std::error_code> read_at(std::uint64_t offset,
                                                 std::span<std::byte> out) override {
        REQUIRE(offset + out.size() <= bytes_.size());
        const auto from = std::as_bytes(std::span(bytes_)).subspan(offset, out.size());
        std::ranges::copy(from, out.begin());
        return {};
    }

private:
    std::string bytes_;
};

using content = std::map<std::string, std::string>;

std::expected<notes::recovery, notes::log_error> recover_into(const std::string& bytes,
                                                              content& found) {
    memory_source source(bytes);
    return notes::recover(source, "a", [&found](const record& change) {
        if (change.kind == record_kind::put) {
            found[std::string(change.id)] =
                std::string(change.content_type) + ":" + std::string(change.body);
        } else {
            found.erase(std::string(change.id));
        }
    });
}

constexpr std::uint64_t salt = 0x0123456789abcdef;

std::string header() { return std::string(notes::make_log_header(salt, "a").view()); }

std::string frame(std::uint64_t first, const std::vector<record>& records,
                  std::uint64_t its_salt = salt) {
    notes::frame_builder builder(its_salt, first);
    for (const record& added : records) {
        REQUIRE(builder.has_room_for(added));
        builder.add(added);
    }
    return std::string(std::move(builder).finish().view());
}

record put(std::string_view id, std::string_view body) {
    return {record_kind::put, id, "text/plain", body};
}
record remove(std::string_view id) { return {record_kind::remove, id, {}, {}}; }

// Three frames, and what the notes are after each one.
struct sample {
    std::vector<std::string> frames = {
        frame(1, {put("a", "one"), put("b", "two")}),
        frame(3, {remove("a"), put("c", "HNLf is where frames start, HNLf")}),
        frame(5, {put("b", std::string("\0three\n", 7))}),
    };
    std::vector<content> states = {
        {},
        {{"a", "text/plain:one"}, {"b", "text/plain:two"}},
        {{"b", "text/plain:two"}, {"c", "text/plain:HNLf is where frames start, HNLf"}},
        {{"b", std::string("text/plain:\0three\n", 18)},
         {"c", "text/plain:HNLf is where frames start, HNLf"}},
    };
    [[nodiscard]] std::string bytes() const { return header() + frames[0] + frames[1] + frames[2]; }
};

}  // namespace

TEST_CASE("notes log: what was written is recovered", "[notes][log]") {
    const sample written;
    content found;
    const auto result = recover_into(written.bytes(), found);
    REQUIRE(result.has_value());
    CHECK(found == written.states[3]);
    CHECK_FALSE(result->tail);
    CHECK(result->good_bytes == written.bytes().size());
    CHECK(result->records == 5);
    CHECK(result->next_sequence == 6);
    CHECK(result->salt == salt);
}

TEST_CASE("notes log: an empty file is a log to be started", "[notes][log]") {
    content found;
    const auto result = recover_into("", found);
    REQUIRE(result.has_value());
    CHECK(result->good_bytes == 0);
    CHECK(result->next_sequence == 1);
    CHECK_FALSE(result->tail);
}

TEST_CASE("notes log: cut anywhere, it gives the whole frames and reports the rest",
          "[notes][log]") {
    const sample written;
    const std::string bytes = written.bytes();
    std::vector<std::size_t> ends = {header().size()};
    for (const auto& each : written.frames) { ends.push_back(ends.back() + each.size()); }

    for (std::size_t size = 0; size <= bytes.size(); ++size) {
        content found;
        const auto result = recover_into(bytes.substr(0, size), found);
        INFO(size);
        REQUIRE(result.has_value());
        if (size < header().size()) {
            REQUIRE(found.empty());
            REQUIRE(result->good_bytes == 0);
            REQUIRE(result->tail.has_value() == (size != 0));
            continue;
        }
        const auto whole =
            static_cast<std::size_t>(std::ranges::upper_bound(ends, size) - ends.begin() - 1);
        REQUIRE(found == written.states[whole]);
        REQUIRE(result->good_bytes == ends[whole]);
        REQUIRE(result->tail.has_value() == (size != ends[whole]));
        if (result->tail) {
            REQUIRE(result->tail->offset == ends[whole]);
            REQUIRE(result->tail->bytes == size - ends[whole]);
        }
    }
}

TEST_CASE("notes log: a flipped bit in the last frame cuts it off, elsewhere it stops the start",
          "[notes][log]") {
    const sample written;
    const std::string bytes = written.bytes();
    const std::size_t last = bytes.size() - written.frames[2].size();
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        std::string changed = bytes;
        changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
        content found;
        const auto result = recover_into(changed, found);
        INFO(bit / 8);
        if (bit / 8 >= last) {
            REQUIRE(result.has_value());
            REQUIRE(result->tail);
            REQUIRE(result->tail->offset == last);
            REQUIRE(found == written.states[2]);
        } else {
            REQUIRE_FALSE(result.has_value());
            const std::size_t start = bit / 8 < header().size() ? 0
                                      : bit / 8 < header().size() + written.frames[0].size()
                                          ? header().size()
                                          : header().size() + written.frames[0].size();
            REQUIRE(result.error().offset == start);
            REQUIRE_FALSE(result.error().reason.empty());
        }
    }
}

TEST_CASE("notes log: a tail of zeros, as file systems leave it, is cut off", "[notes][log]") {
    const sample written;
    for (const std::size_t zeros : {1U, 27U, 28U, 4096U, 3'000'000U}) {
        content found;
        const auto result = recover_into(written.bytes() + std::string(zeros, '\0'), found);
        REQUIRE(result.has_value());
        REQUIRE(result->tail);
        CHECK(result->tail->bytes == zeros);
        CHECK(found == written.states[3]);
    }
}

TEST_CASE("notes log: damage far in front of a good frame is found across windows",
          "[notes][log]") {
    const std::string big(3 * 1024 * 1024 + 5, 'x');
    std::string damaged = frame(1, {put("big", big)});
    damaged[0] = 'X';
    for (const std::size_t shift : {0U, 1U, 27U, 28U, 29U}) {
        content found;
        // The good frame's header straddles the edges of the search windows.
        const std::size_t window = 1024 * 1024;
        const std::string filler(3 * window - 40 + shift, 'y');
        std::string bytes = header() + std::string("HNLf") + filler + frame(1, {put("a", "b")});
        const auto result = recover_into(bytes, found);
        REQUIRE_FALSE(result.has_value());
        CHECK(result.error().offset == notes::log_header_bytes);
        CHECK(found.empty());
    }
    content found;
    CHECK_FALSE(recover_into(header() + damaged + frame(2, {put("a", "b")}), found).has_value());
}

TEST_CASE("notes log: a note that contains a frame does not pass for one", "[notes][log]") {
    // Somebody stores a frame of a log as a note; then the machine dies while it is being written.
    const std::string foreign = frame(1, {put("x", "y")}, salt + 1);
    std::string torn = frame(1, {put("trap", foreign + foreign)});
    torn[0] = 'X';
    content found;
    const auto result = recover_into(header() + torn, found);
    REQUIRE(result.has_value());
    REQUIRE(result->tail);
    CHECK(found.empty());
}

TEST_CASE("notes log: a missing, repeated or foreign frame stops the start", "[notes][log]") {
    const sample written;
    content found;
    CHECK_FALSE(recover_into(header() + written.frames[1], found).has_value());
    CHECK_FALSE(recover_into(header() + written.frames[0] + written.frames[0], found).has_value());
    CHECK_FALSE(recover_into(header() + written.frames[0] + written.frames[2], found).has_value());
    const auto foreign = recover_into("#!/bin/sh\necho this is not a log\n", found);
    REQUIRE_FALSE(foreign.has_value());
    CHECK(foreign.error().reason.find("not a log of notes") != std::string::npos);
}

TEST_CASE("notes log: another node's log stops the start", "[notes][log]") {
    memory_source source(sample().bytes());
    const auto result = notes::recover(source, "b", [](const record&) {});
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().reason == "belongs to another node than 'b'");
}

TEST_CASE("notes log: a copy of an old frame behind a torn one loses nothing", "[notes][log]") {
    const sample written;
    content found;
    const auto result = recover_into(written.bytes() + "torn" + written.frames[1], found);
    REQUIRE(result.has_value());
    REQUIRE(result->tail);
    CHECK(result->tail->offset == written.bytes().size());
    CHECK(found == written.states[3]);
}

TEST_CASE("notes log: a frame takes records up to its limit", "[notes][log]") {
    notes::frame_builder builder(salt, 1);
    const std::string body(64 * 1024, 'x');
    std::uint32_t count = 0;
    while (builder.has_room_for(put("id", body))) {
        builder.add(put("id", body));
        ++count;
    }
    CHECK(count == 63);
    CHECK(builder.records() == count);
    content found;
    const auto result =
        recover_into(header() + std::string(std::move(builder).finish().view()), found);
    REQUIRE(result.has_value());
    CHECK(result->records == count);
}

TEST_CASE("notes log: a source that cannot be read is an error, not a torn tail", "[notes][log]") {
    class broken_source final : public notes::log_source {
    public:
        [[nodiscard]] std::uint64_t size() const noexcept override { return 100; }
        std::expected<void, std::error_code> read_at(std::uint64_t, std::span<std::byte>) override {
            return std::unexpected(std::make_error_code(std::errc::io_error));
        }
    };
    broken_source source;
    const auto result = notes::recover(source, "a", [](const record&) {});
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().reason.find("cannot be read") != std::string::npos);
}
