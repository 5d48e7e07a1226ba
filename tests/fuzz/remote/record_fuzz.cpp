// Feeds any bytes to what lies between a connection and its frames, cut into pieces: what comes out
// of plain text is what went in, what is one kind is never taken for the other, a failure stays
// one, and what was changed on its way through TLS never comes out.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/rt/tls/engine.hpp>

#include "node/record_layer.hpp"

namespace {

namespace rt = heph::rt;
using heph::remote::detail::opening;
using heph::remote::detail::opening_bytes_max;
using heph::remote::detail::opening_of;
using heph::remote::detail::record_layer;
using bytes = std::vector<std::byte>;

void require(bool condition) {
    if (!condition) { std::abort(); }
}

const rt::tls::context& shared_context() {
    static const rt::tls::context made = [] {
        const std::string_view words = "a secret for the fuzzer";
        const rt::tls::psk_config how(
            rt::tls::secret::copy_of(std::as_bytes(std::span(words))).value());
        return rt::tls::context::make(how).value();
    }();
    return made;
}

record_layer make(bool is_tls, bool dials) {
    if (!is_tls) { return record_layer::plain_text(dials); }
    const auto& context = shared_context();
    return record_layer::tls((dials ? context.client() : context.server()).value(), dials);
}

bytes output_of(record_layer& from) {
    rt::buffer out;
    from.take_output(out);
    const auto all = std::as_const(out).bytes();
    return {all.begin(), all.end()};
}

// Appends all that can be read. Gives false for an error.
bool read_all(record_layer& from, bytes& out) {
    std::array<std::byte, 333> scratch;
    for (;;) {
        const auto some = from.read(scratch);
        if (!some) { return false; }
        if (some->empty()) { return true; }
        out.insert(out.end(), some->begin(), some->end());
    }
}

// Feeds bytes in pieces of 1 to `piece` bytes. Gives false once that fails.
bool feed_in_pieces(record_layer& to, std::span<const std::byte> input, std::size_t piece,
                    bytes& out) {
    while (!input.empty()) {
        const auto some = input.first(std::min(piece, input.size()));
        input = input.subspan(some.size());
        if (!to.feed(some) || !read_all(to, out)) {
            // What failed stays so, and gives nothing more.
            bytes more;
            require(!to.is_mismatched() || !to.feed(some));
            (void)read_all(to, more);
            require(more.empty());
            return false;
        }
    }
    return true;
}

// Whatever a stranger says.
void meet_stranger(bool is_tls, bool dials, std::size_t piece, std::span<const std::byte> input) {
    record_layer layer = make(is_tls, dials);
    (void)output_of(layer);
    bytes out;
    const bool fed = feed_in_pieces(layer, input, piece, out);
    const opening how = opening_of(input.first(std::min(input.size(), opening_bytes_max)));
    require(layer.is_mismatched() == (how == (is_tls ? opening::plain_text : opening::tls)));
    if (is_tls) {
        require(!layer.is_open() && out.empty());  // It does not know the secret.
    } else if (!layer.is_mismatched()) {
        require(fed);
        require(how == opening::undecided ? out.empty() : std::ranges::equal(out, input));
    }
    (void)output_of(layer);
    require(!layer.has_output());
}

// A byte of what a friend said is another one on its way.
void change_on_the_way(std::size_t piece, std::size_t where, std::span<const std::byte> said) {
    record_layer dialing = make(true, true);
    record_layer accepting = make(true, false);
    for (int turn = 0; turn < 10 && (dialing.has_output() || accepting.has_output()); ++turn) {
        require(accepting.feed(output_of(dialing)).has_value());
        require(dialing.feed(output_of(accepting)).has_value());
    }
    require(dialing.is_open() && accepting.is_open());
    require(dialing.write(said).has_value());
    bytes sent = output_of(dialing);
    const bool is_changed = !sent.empty() && where % 2 != 0;
    if (is_changed) { sent[where % sent.size()] ^= std::byte{1}; }
    bytes out;
    const bool fed = feed_in_pieces(accepting, sent, piece, out);
    require(out.size() <= said.size());
    require(std::ranges::equal(out, said.first(out.size())));
    require(is_changed ? !std::ranges::equal(out, said) : fed && out.size() == said.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4) { return 0; }
    const std::size_t piece = std::size_t{1} + data[1];
    const std::size_t where = std::size_t{data[2]} << 8 | data[3];
    const auto input = std::as_bytes(std::span(data, size)).subspan(4);
    const bool has_met = (data[0] & 4) != 0;
    has_met ? change_on_the_way(piece, where, input)
            : meet_stranger((data[0] & 1) != 0, (data[0] & 2) != 0, piece, input);
    return 0;
}
