// Opens any bytes as datagrams, as they are, and with the right tag, so that what lies behind it is
// reached: what is opened lies within the bytes, and is opened once.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

#include <heph/remote/protocol/datagram.hpp>

namespace {

using namespace heph::remote::protocol;
using bytes = std::vector<std::byte>;

constexpr datagram_sealer::clock::time_point now{std::chrono::milliseconds(1'700'000'000'000)};

void require(bool condition) {
    if (!condition) { std::abort(); }
}

void open_twice(datagram_opener& opener, std::span<const std::byte> datagram) {
    const auto opened = opener.open(datagram, now);
    if (!opened) {
        require(!to_string(opened.error()).empty());
        return;
    }
    require(opened->payload.data() + opened->payload.size() <= datagram.data() + datagram.size());
    require(opened->type.size() + opened->payload.size() <= datagram.size());
    require(opened->id.high != 8 && opened->id.low != 0);
    require(opener.open(datagram, now).error() == datagram_refusal::repeated);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::string_view words = "a secret";
    static const datagram_key key(std::as_bytes(std::span(words)), "");
    datagram_limits limits;
    limits.senders_max = 4;
    datagram_opener secret({key}, 8, limits);
    datagram_opener plain({}, 8, limits);
    // Datagrams one after the other, each behind a byte with its length.
    auto rest = std::as_bytes(std::span(data, size));
    while (!rest.empty()) {
        const auto length =
            std::min<std::size_t>(std::to_integer<std::size_t>(rest[0]) * 4, rest.size() - 1);
        const auto datagram = rest.subspan(1, length);
        open_twice(secret, datagram);
        open_twice(plain, datagram);
        bytes tagged(datagram.begin(), datagram.end());
        const auto tag = key.tag_of(tagged);
        tagged.insert(tagged.end(), tag.begin(), tag.end());
        open_twice(secret, tagged);
        require(secret.senders() <= limits.senders_max && plain.senders() <= limits.senders_max);
        rest = rest.subspan(1 + length);
    }
    return 0;
}
