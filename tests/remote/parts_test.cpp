// Payloads in parts: how they are cut, take turns, and are put together again.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/remote/protocol/parts.hpp>

using namespace heph::remote::protocol;

namespace {

std::vector<std::byte> payload_of(std::size_t size, std::uint8_t fill = 1) {
    return std::vector<std::byte>(size, std::byte{fill});
}

shared_bytes shared(std::vector<std::byte> bytes) {
    return std::make_shared<const std::vector<std::byte>>(std::move(bytes));
}

parts_header to_actor(std::uint64_t actor) { return {data_kind::message, actor, actor, 0}; }

}  // namespace

TEST_CASE("parts: a payload is announced once and comes in order, the last part is told",
          "[remote][parts]") {
    outgoing_parts parts;
    std::vector<std::byte> sent;
    std::vector<std::byte> payload = payload_of(2 * part_bytes + 5);
    for (std::size_t i = 0; i < payload.size(); ++i) { payload[i] = static_cast<std::byte>(i / 7); }
    parts.add(to_actor(1), shared(payload));
    CHECK(parts.bytes() == payload.size());
    for (int i = 0; i < 3; ++i) {
        const auto step = parts.next(1);
        REQUIRE(step);
        CHECK(step->begin.has_value() == (i == 0));
        CHECK(step->last == (i == 2));
        CHECK(step->bytes_in_all == payload.size());
        sent.insert(sent.end(), step->bytes().begin(), step->bytes().end());
    }
    CHECK(sent == payload);
    CHECK_FALSE(parts.next(1));
    CHECK(parts.empty());
    CHECK(parts.bytes() == 0);
}

TEST_CASE("parts: several payloads take turns", "[remote][parts]") {
    outgoing_parts parts;
    for (std::uint64_t actor = 1; actor <= 3; ++actor) {
        parts.add(to_actor(actor), shared(payload_of(3 * part_bytes)));
    }
    std::vector<std::uint64_t> order;
    while (const auto step = parts.next(1'000'000)) { order.push_back(step->what.actor); }
    // Each begins as soon as it may, and then they go round.
    CHECK(order == std::vector<std::uint64_t>{1, 2, 3, 1, 2, 3, 1, 2, 3});
}

TEST_CASE("parts: no more is begun than the peer assembles, in the order of arrival",
          "[remote][parts]") {
    outgoing_parts parts;
    parts.add(to_actor(1), shared(payload_of(4 * part_bytes)));
    parts.add(to_actor(2), shared(payload_of(4 * part_bytes)));
    parts.add(to_actor(3), shared(payload_of(2 * part_bytes)));  // It would fit, but does not pass.
    std::vector<std::uint64_t> order;
    while (const auto step = parts.next(6 * part_bytes)) { order.push_back(step->what.actor); }
    CHECK(order == std::vector<std::uint64_t>{1, 1, 1, 1, 2, 3, 2, 3, 2, 2});
}

TEST_CASE("parts: what could not be sent is the next part again", "[remote][parts]") {
    outgoing_parts parts;
    parts.add(to_actor(1), shared(payload_of(2 * part_bytes)));
    REQUIRE(parts.peek(1)->begin);
    REQUIRE(parts.peek(1)->begin);  // What announces it was not sent, either.
    parts.announced();
    for (const bool is_last : {false, true}) {
        const auto failed = parts.peek(1);
        REQUIRE(failed);
        CHECK_FALSE(failed->begin);
        CHECK(parts.left().size() == 1);
        const auto again = parts.peek(1);
        REQUIRE(again);
        CHECK(again->at == failed->at);
        CHECK(again->last == is_last);
        parts.sent(*again);
    }
    CHECK(parts.left().empty());
    CHECK(parts.bytes() == 0);
}

TEST_CASE("parts: one payload goes in any case", "[remote][parts]") {
    outgoing_parts parts;
    parts.add(to_actor(1), shared(payload_of(4 * part_bytes)));
    CHECK(parts.next(1).has_value());
}

TEST_CASE("parts: what is dropped is not sent, and only what had begun is told",
          "[remote][parts]") {
    outgoing_parts parts;
    for (std::uint64_t call = 1; call <= 3; ++call) {
        parts.add({data_kind::call, 9, call, 0}, shared(payload_of(2 * part_bytes)));
    }
    REQUIRE(parts.next(1));
    const auto first = parts.drop(data_kind::call, 1);
    REQUIRE(first);
    CHECK(first->begun);
    const auto second = parts.drop(data_kind::call, 2);
    REQUIRE(second);
    CHECK_FALSE(second->begun);
    CHECK_FALSE(parts.drop(data_kind::call, 2));
    CHECK_FALSE(parts.drop(data_kind::reply, 3));
    const auto left = parts.next(1);
    REQUIRE(left);
    CHECK(left->what.number == 3);
    CHECK(parts.bytes() == 2 * part_bytes);
    CHECK(parts.clear().size() == 1);
    CHECK(parts.empty());
}

TEST_CASE("parts: a size that is declared takes no memory, and is refused when it is too large",
          "[remote][parts]") {
    incoming_parts parts(10 * part_bytes, 20 * part_bytes);
    CHECK(parts.begin(1, to_actor(1), 10 * part_bytes + 1, true).error() == error::frame_too_large);
    CHECK(parts.begin(1, to_actor(1), part_bytes, true).error() == error::malformed);
    REQUIRE(parts.begin(1, to_actor(1), 10 * part_bytes, true));
    CHECK(parts.begin(1, to_actor(1), 10 * part_bytes, true).error() == error::malformed);
    REQUIRE(parts.begin(2, to_actor(2), 10 * part_bytes, true));
    CHECK(parts.begin(3, to_actor(3), part_bytes + 1, true).error() == error::window_exceeded);
    CHECK(parts.held_bytes() == 0);
    REQUIRE(parts.add(1, payload_of(100)));
    CHECK(parts.held_bytes() <= 800);
    CHECK(parts.announced_bytes() == 20 * part_bytes);
}

TEST_CASE(
    "parts: what is put together is what was cut, and never takes more than eight times its bytes",
    "[remote][parts]") {
    outgoing_parts from;
    std::vector<std::byte> payload = payload_of(100 * part_bytes + 77);
    for (std::size_t i = 0; i < payload.size(); ++i) { payload[i] = static_cast<std::byte>(i / 3); }
    from.add(to_actor(4), shared(payload));
    incoming_parts to(200 * part_bytes, 200 * part_bytes);
    std::size_t arrived = 0;
    bool whole = false;
    while (const auto step = from.next(1)) {
        if (step->begin) {
            REQUIRE(to.begin(step->stream, *step->begin, step->bytes_in_all, true));
        }
        auto added = to.add(step->stream, step->bytes());
        REQUIRE(added);
        arrived += step->bytes().size();
        CHECK(to.held_bytes() <= std::min(8 * arrived, payload.size()));
        if (!*added) { continue; }
        whole = true;
        CHECK((*added)->bytes == payload);
        CHECK((*added)->what.actor == 4);
    }
    CHECK(whole);
    CHECK(to.announced_bytes() == 0);
}

TEST_CASE("parts: parts of nothing, beyond the end, and empty ones are refused",
          "[remote][parts]") {
    incoming_parts parts(10 * part_bytes, 20 * part_bytes);
    CHECK(parts.add(1, payload_of(1)).error() == error::malformed);
    CHECK(parts.end(1).error() == error::malformed);
    REQUIRE(parts.begin(1, to_actor(1), part_bytes + 1, true));
    CHECK(parts.add(1, {}).error() == error::malformed);
    CHECK(parts.add(1, payload_of(part_bytes + 2)).error() == error::malformed);
    REQUIRE(parts.add(1, payload_of(part_bytes)));
    const auto ended = parts.end(1);
    REQUIRE(ended);
    CHECK(ended->bytes_in_all == part_bytes + 1);
    CHECK(parts.add(1, payload_of(1)).error() == error::malformed);
}

TEST_CASE("parts: what nobody wants takes no memory", "[remote][parts]") {
    incoming_parts parts(10 * part_bytes, 20 * part_bytes);
    REQUIRE(parts.begin(1, {data_kind::reply, 0, 5, 0}, 2 * part_bytes, false));
    auto added = parts.add(1, payload_of(part_bytes));
    CHECK(parts.held_bytes() == 0);
    added = parts.add(1, payload_of(part_bytes));
    REQUIRE(added);
    CHECK_FALSE(added->has_value());
    CHECK(parts.announced_bytes() == 0);
}

TEST_CASE("parts: a part that was received in its place counts once it is committed",
          "[remote][parts]") {
    incoming_parts parts(10 * part_bytes, 20 * part_bytes);
    const auto payload = payload_of(part_bytes + 10);
    REQUIRE(parts.begin(1, to_actor(1), part_bytes + 10, true));
    CHECK(parts.room(2, 1).empty());
    CHECK(parts.room(1, 0).empty());
    CHECK(parts.room(1, part_bytes + 11).empty());
    CHECK(parts.commit(1).error() == error::malformed);
    // One whose connection broke half-way comes again, in other pieces.
    const auto half = parts.room(1, part_bytes);
    REQUIRE(half.size() == part_bytes);
    std::ranges::fill(half.first(100), std::byte{0xff});
    CHECK(parts.placed(1) == part_bytes);
    const auto first = parts.add(1, std::span(payload).first(50));
    REQUIRE((first && !*first));
    CHECK(parts.placed(1) == 0);
    CHECK(parts.commit(1).error() == error::malformed);
    const auto rest = parts.room(1, payload.size() - 50);
    std::ranges::copy(std::span(payload).subspan(50), rest.begin());
    const auto whole = parts.commit(1);
    REQUIRE((whole && *whole));
    CHECK((*whole)->bytes == payload);
    CHECK(parts.announced_bytes() == 0);
    // Nobody wants it: it is passed over as it comes.
    REQUIRE(parts.begin(1, {data_kind::reply, 0, 5, 0}, 2 * part_bytes, false));
    CHECK(parts.room(1, part_bytes).empty());
}

TEST_CASE("parts: memory that is not of use any more is that of the next payload, for a while",
          "[remote][parts]") {
    incoming_parts parts(10 * part_bytes, 20 * part_bytes);
    std::vector<std::byte> memory(2 * part_bytes);
    const std::byte* const where = memory.data();
    const auto place_of_next = [&] {
        REQUIRE(parts.begin(1, to_actor(1), 2 * part_bytes, true));
        const std::byte* const at = parts.room(1, part_bytes).data();
        REQUIRE(parts.end(1));
        return at;
    };
    parts.recycle(std::move(memory));
    parts.trim();  // It has come just now.
    CHECK(place_of_next() == where);
    // What is larger than it was is of no use, nor what nobody used for long.
    std::vector<std::byte> small(2 * part_bytes - 1);
    small.shrink_to_fit();
    const std::byte* const smaller = small.data();
    parts.recycle(std::move(small));
    CHECK(place_of_next() != smaller);
    std::vector<std::byte> again(3 * part_bytes);
    const std::byte* const other = again.data();
    parts.recycle(std::move(again));
    parts.trim();
    parts.trim();
    CHECK(place_of_next() != other);
}
