// Reads any bytes as a trace, whole and in pieces, and checks that both give the same; that an
// event that was read is written as the same bytes; and that it can be converted.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <heph/rt/trace_format.hpp>

#include "convert_trace/chrome_trace.hpp"

namespace {

using namespace heph::rt;

void require(bool condition) {
    if (!condition) { std::abort(); }
}

// What a reader says that gets pieces of that size.
struct outcome {
    std::vector<trace_packet> packets;
    std::vector<std::string> bytes;  // Of each packet.
    std::error_code error;
};

outcome read(std::string_view trace, std::size_t piece) {
    outcome all;
    trace_reader reader;
    for (std::size_t at = 0; at < trace.size() && !all.error; at += piece) {
        reader.feed(trace.substr(at, piece));
        for (;;) {
            const auto before = static_cast<std::size_t>(reader.position());
            auto packet = reader.next();
            if (!packet) {
                all.error = packet.error();
                break;
            }
            if (!*packet) { break; }
            const auto after = static_cast<std::size_t>(reader.position());
            all.bytes.emplace_back(trace.substr(before, after - before));
            all.packets.push_back(std::move(**packet));
        }
    }
    return all;
}

std::string write(const trace_event& event) {
    // What attributes refer to.
    std::vector<std::vector<std::string_view>> texts;
    texts.reserve(event.attributes.size());
    std::vector<trace_attribute> attributes;
    for (const auto& [name, value] : event.attributes) {
        std::visit(
            [&](const auto& each) {
                using type = std::remove_cvref_t<decltype(each)>;
                if constexpr (std::is_same_v<type, std::vector<std::string>>) {
                    texts.emplace_back(each.begin(), each.end());
                    attributes.emplace_back(name, std::span<const std::string_view>(texts.back()));
                } else if constexpr (requires { typename type::allocator_type; } &&
                                     !std::is_same_v<type, std::string>) {
                    attributes.emplace_back(name, std::span<const typename type::value_type>(each));
                } else {
                    attributes.emplace_back(name, each);
                }
            },
            value);
    }
    std::string out;
    append_trace_event(out, event.place, event.description, attributes);
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view trace(reinterpret_cast<const char*>(data), size);
    const outcome whole = read(trace, size + 1);
    const outcome pieces = read(trace, 3);
    require(whole.bytes == pieces.bytes);
    require(whole.error == pieces.error);
    heph::tools::chrome_trace chrome;
    std::size_t written = 0;
    for (std::size_t i = 0; i < whole.packets.size(); ++i) {
        written += chrome.add(whole.packets[i]).size();
        const auto* event = std::get_if<trace_event>(&whole.packets[i]);
        // Larger ones would be cut.
        if (event != nullptr && whole.bytes[i].size() < 60'000) {
            require(write(*event) == whole.bytes[i]);
        }
    }
    require(whole.packets.empty() || written + chrome.end().size() > 0);
    return 0;
}
