// Gives any bytes to what reads the answers of etcd's gateway, the lines of a watch in pieces that
// the first bytes choose. Where a stream is cut means nothing, no answer is worse than an error,
// and of a watch each change is told once, in order.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "etcd/gateway.hpp"
#include "etcd/json.hpp"
#include "etcd/line_splitter.hpp"
#include "etcd/watch_state.hpp"

namespace {

using namespace heph::remote::etcd;

constexpr std::size_t line_bytes_max = 4096;

void require(bool condition) {
    if (!condition) { std::abort(); }
}

/// Takes a stream apart that comes in pieces of these sizes, in turn.
std::vector<std::string> lines_of(std::string_view stream, std::string_view sizes) {
    line_splitter splitter(line_bytes_max);
    std::vector<std::string> lines;
    for (std::size_t i = 0; !stream.empty(); ++i) {
        const std::size_t wanted =
            sizes.empty() ? stream.size()
                          : 1 + static_cast<unsigned char>(sizes[i % sizes.size()]) % 64U;
        const auto piece = stream.substr(0, std::min(wanted, stream.size()));
        stream.remove_prefix(piece.size());
        const bool is_good = splitter.feed(piece);
        while (const auto line = splitter.next()) { lines.emplace_back(*line); }
        if (!is_good) { return lines; }
    }
    if (const auto line = splitter.last()) { lines.emplace_back(*line); }
    return lines;
}

void watch(const std::vector<std::string>& lines) {
    watch_state state;
    state.listed(7, 14'841'639'068'965'178'418U);
    state.opened();
    for (const auto& line : lines) {
        auto message = gateway::read_watch_line(line);
        if (!message) {
            require(!std::string_view(message.error().message()).empty());
            return;
        }
        const auto from = state.from();
        const auto step = state.take(*message);
        require(state.from() >= from && state.from() > 0);
        if (step == watch_state::step::tell) {
            require(!message->changes.empty() && state.now() == watch_state::phase::reading);
            for (const auto& each : message->changes) { require(each.what.mod_revision >= from); }
        }
        if (step == watch_state::step::leave) { return; }
        if (step == watch_state::step::check) {
            state.checked(7);
            if (state.now() != watch_state::phase::reading) { return; }
        }
    }
}

template <typename Answer>
void take(const Answer& read) {
    if (!read) { require(!std::string_view(read.error().message()).empty()); }
}

void read_unary(std::string_view body) {
    take(gateway::read_put(body));
    take(gateway::read_range(body));
    take(gateway::read_removed(body));
    take(gateway::read_transaction(body));
    const auto lease = gateway::read_grant(body);
    take(lease);
    require(!lease || (lease->id != 0 && lease->ttl_seconds > 0));
    const auto left = gateway::read_keep_alive(body);
    take(left);
    require(!left || *left > 0);
    const auto token = gateway::read_token(body);
    take(token);
    require(!token || std::ranges::all_of(*token, [](char c) { return c > 32 && c < 127; }));
    for (const unsigned status : {400U, 401U, 404U, 500U, 503U}) {
        require(!std::string_view(gateway::read_error(status, body).message()).empty());
    }
    if (const auto error = gateway::read_stream_error(body)) {
        require(!std::string_view(error->message()).empty());
        (void)gateway::is_token_refused(*error);
        (void)gateway::is_login_needless(*error);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view all(reinterpret_cast<const char*>(data), size);
    const auto sizes = all.substr(0, std::min<std::size_t>(4, size));
    const auto stream = all.substr(sizes.size());
    const auto lines = lines_of(stream, sizes);
    // One that is too long is told when it is seen, which is earlier or later.
    if (std::ranges::all_of(lines_of(stream, {}),
                            [](const auto& line) { return line.size() + 2 < line_bytes_max; }) &&
        stream.size() < line_bytes_max) {
        require(lines == lines_of(stream, {}));
    }
    watch(lines);
    read_unary(stream);
    return 0;
}
