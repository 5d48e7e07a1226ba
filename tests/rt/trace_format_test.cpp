#include <heph/rt/trace_format.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using heph::rt::append_trace_epoch;
using heph::rt::append_trace_event;
using heph::rt::trace_attribute;
using heph::rt::trace_errc;
using heph::rt::trace_event;
using heph::rt::trace_option;
using heph::rt::trace_packet;
using heph::rt::trace_place;
using heph::rt::trace_reader;

namespace {

std::string bytes(std::initializer_list<int> values) {
    std::string made;
    for (const int each : values) { made.push_back(static_cast<char>(each)); }
    return made;
}

std::string event(std::string_view description, std::span<const trace_attribute> attributes = {}) {
    std::string out;
    append_trace_event(out, {1, 2, 3, 100ns, 200ns}, description, attributes);
    return out;
}

// All packets of a trace that is whole and right.
std::vector<trace_packet> read_all(std::string_view trace, std::size_t piece) {
    trace_reader reader;
    std::vector<trace_packet> all;
    for (std::size_t at = 0; at < trace.size(); at += piece) {
        reader.feed(trace.substr(at, piece));
        for (;;) {
            auto packet = reader.next();
            REQUIRE(packet);
            if (!*packet) { break; }
            all.push_back(std::move(**packet));
        }
    }
    CHECK(reader.unread_bytes() == 0);
    CHECK(reader.position() == trace.size());
    return all;
}

std::error_code error_of(std::string_view trace, std::size_t largest = 1'000) {
    trace_reader reader(largest);
    reader.feed(trace);
    for (;;) {
        auto packet = reader.next();
        if (!packet) {
            CHECK(reader.next().error() == packet.error());
            return packet.error();
        }
        if (!*packet) { return {}; }
    }
}

void set_size(std::string& packet, std::size_t size) {
    packet[6] = static_cast<char>(size >> 8U);
    packet[7] = static_cast<char>(size & 0xFFU);
}

}  // namespace

TEST_CASE("trace_format: an epoch has the bytes of the specification's example", "[rt][trace]") {
    std::string out;
    append_trace_epoch(out, 1610113734118010000ns);
    CHECK(out == bytes({0x75, 0xD1, 0x1D, 0x4D, 0, 0, 0, 23, 0, 5}) + "epoch" +
                     bytes({0x16, 0x58, 0x45, 0xE9, 0x12, 0x14, 0xEC, 0x90}));
}

TEST_CASE("trace_format: an event has the bytes of the specification's example", "[rt][trace]") {
    const std::array<double, 2> floats{123.456, 789.0};
    const std::array<trace_attribute, 2> attributes{
        trace_attribute("Test", 123U), trace_attribute("Test2", std::span<const double>(floats))};
    std::string out;
    append_trace_event(out, {0, 0, 1, 100ns, 200ns}, "My event", attributes);
    std::string expected =
        bytes({0xC1, 0xFC, 0x1F, 0xB7, 0, 0, 0, 91, 0, 0, 0,   0, 0, 0, 0, 0, 0, 0, 0,   0, 0,
               0,    0,    1,    0,    0, 0, 0, 0,  0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 200, 0, 8}) +
        "My event" + bytes({0, 4}) + "Test" + bytes({1, 0, 0, 0, 0, 0, 0, 0, 123, 0, 5}) + "Test2" +
        bytes({0x83, 0, 2});
    for (const double each : floats) {
        for (int shift = 56; shift >= 0; shift -= 8) {
            expected.push_back(static_cast<char>(std::bit_cast<std::uint64_t>(each) >> shift));
        }
    }
    CHECK(out.size() == 91);
    CHECK(out == expected);
}

TEST_CASE("trace_format: what was written is read, in pieces of any size", "[rt][trace]") {
    const std::array<std::uint64_t, 2> numbers{1, ~std::uint64_t{0}};
    const std::array<std::int64_t, 2> others{-1, 1};
    const std::array<std::string_view, 3> texts{"", "\xC3\xA4", "\xF0\x9F\x98\x80"};
    const std::string text = "text";
    const std::array<trace_attribute, 8> attributes{
        trace_attribute("u", std::uint8_t{7}),
        trace_attribute("i", -7),
        trace_attribute("f", 0.5F),
        trace_attribute("t", text),
        trace_attribute("us", std::span<const std::uint64_t>(numbers)),
        trace_attribute("is", std::span<const std::int64_t>(others)),
        trace_attribute("fs", std::span<const double>()),
        trace_attribute("ts", std::span<const std::string_view>(texts))};
    std::string trace;
    append_trace_epoch(trace, 12345ns);
    append_trace_event(trace, {9, ~std::uint32_t{0}, ~std::uint64_t{0}, 5ns, 5ns}, "all",
                       attributes);
    trace += event("bare");
    for (const std::size_t piece : {1U, 2U, 7U, 1'000U}) {
        const auto all = read_all(trace, piece);
        REQUIRE(all.size() == 3);
        CHECK(std::get<trace_option>(all[0]).epoch() == 12345ns);
        const auto& whole = std::get<trace_event>(all[1]);
        CHECK(whole.place.stream == 9);
        CHECK(whole.place.counter == ~std::uint32_t{0});
        CHECK(whole.place.substream == ~std::uint64_t{0});
        CHECK(whole.place.start == 5ns);
        REQUIRE(whole.attributes.size() == 8);
        CHECK(whole.attributes[0].first == "u");
        CHECK(std::get<std::uint64_t>(whole.attributes[0].second) == 7);
        CHECK(std::get<std::int64_t>(whole.attributes[1].second) == -7);
        CHECK(std::get<double>(whole.attributes[2].second) == 0.5);
        CHECK(std::get<std::string>(whole.attributes[3].second) == "text");
        CHECK(std::get<std::vector<std::uint64_t>>(whole.attributes[4].second) ==
              std::vector<std::uint64_t>(numbers.begin(), numbers.end()));
        CHECK(std::get<std::vector<std::int64_t>>(whole.attributes[5].second) ==
              std::vector<std::int64_t>(others.begin(), others.end()));
        CHECK(std::get<std::vector<double>>(whole.attributes[6].second).empty());
        CHECK(std::get<std::vector<std::string>>(whole.attributes[7].second)[2] == texts[2]);
        const auto& bare = std::get<trace_event>(all[2]);
        CHECK(bare.description == "bare");
        CHECK(bare.attributes.empty());
    }
}

TEST_CASE("trace_format: long texts are cut before a character, and no packet grows without end",
          "[rt][trace]") {
    std::string text(65'534, 'x');
    text += "\xC3\xA4";  // Its second byte would be the 65,536th.
    const auto cut = read_all(event(text), 100'000);
    CHECK(std::get<trace_event>(cut[0]).description == std::string(65'534, 'x'));
    const std::vector<std::uint64_t> many(70'000, 1);
    const std::array<trace_attribute, 2> attributes{
        trace_attribute("many", std::span<const std::uint64_t>(many)),
        trace_attribute("left out", 1)};
    const std::string packet = event("big", attributes);
    CHECK(packet.size() < 66'000);
    const auto all = read_all(packet, 100'000);
    const auto& whole = std::get<trace_event>(all[0]);
    REQUIRE(whole.attributes.size() == 1);
    CHECK(std::get<std::vector<std::uint64_t>>(whole.attributes[0].second).size() == 8'190);
}

TEST_CASE("trace_format: a text that is not UTF-8 does not spoil the trace", "[rt][trace]") {
    const auto all =
        read_all(event("caf\xE9", std::vector<trace_attribute>{{"n", "\xC3\xA9\xFF"}}), 1'000);
    const auto& read = std::get<trace_event>(all.at(0));
    CHECK(read.description == "caf?");
    CHECK(std::get<std::string>(read.attributes.at(0).second) == "???");
}

TEST_CASE("trace_reader: it refuses what is no trace, and says why", "[rt][trace]") {
    CHECK(error_of("no trace") == trace_errc::bad_magic);
    CHECK(error_of("\x75") == std::error_code());
    std::string small = event("x");
    set_size(small, 7);
    CHECK(error_of(small) == trace_errc::bad_size);
    std::string large = event("x");
    set_size(large, 1'001);
    CHECK(error_of(large) == trace_errc::too_large);
    std::string cut = event("some text");
    set_size(cut, cut.size() - 1);
    CHECK(error_of(cut) == trace_errc::bad_size);
    const std::array<trace_attribute, 1> attribute{trace_attribute("n", 1)};
    std::string typed = event("x", attribute);
    for (const int type : {0, 5, 0x80, 0x85}) {
        typed[typed.size() - 9] = static_cast<char>(type);
        CHECK(error_of(typed) == trace_errc::bad_value);
    }
    std::string shorter = event("x", attribute);
    set_size(shorter, shorter.size() - 1);
    CHECK(error_of(shorter) == trace_errc::bad_size);
    for (const std::string text :
         {"\xFF", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xC3", "\x80"}) {
        std::string wrong = event(std::string(text.size(), 'x'));
        wrong.replace(wrong.size() - text.size(), text.size(), text);
        CHECK(error_of(wrong) == trace_errc::bad_text);
    }
    std::string late;
    append_trace_event(late, {0, 0, 0, 2ns, 1ns}, "x", {});
    CHECK(error_of(late) == trace_errc::bad_time);
    CHECK(error_of(event("x") + "rubbish") == trace_errc::bad_magic);
}
