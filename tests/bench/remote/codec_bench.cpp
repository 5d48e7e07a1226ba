// Times the codec against what one would write by hand: fields copied in order, with their lengths,
// and each length compared with what is left. That checks as much as a codec has to, and takes no
// changes of the struct. In each repeat both take turns; the best repeat counts.

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <heph/remote/codec/codec.hpp>

namespace {

using bytes = std::vector<std::byte>;

struct small {
    std::int32_t amount = 0;
    std::uint64_t number = 0;
};
HEPH_MESSAGE(small, "bench.small", 1, amount, number)

struct note {
    std::string id;
    std::string content_type;
    std::string body;
};
HEPH_MESSAGE(note, "bench.note", 1, id, content_type, body)

struct order {
    std::uint64_t id = 0;
    std::vector<small> items;
};
HEPH_MESSAGE(order, "bench.order", 1, id, items)

// By hand.
void put(bytes& out, const void* from, std::size_t size) {
    const auto* const first = static_cast<const std::byte*>(from);
    out.insert(out.end(), first, first + size);
}
template <std::integral T>
void write(bytes& out, T value) {
    put(out, &value, sizeof value);
}
void write(bytes& out, const std::string& text) {
    write(out, static_cast<std::uint32_t>(text.size()));
    put(out, text.data(), text.size());
}
void write(bytes& out, const small& value) {
    write(out, value.amount);
    write(out, value.number);
}
void write(bytes& out, const note& value) {
    write(out, value.id);
    write(out, value.content_type);
    write(out, value.body);
}
void write(bytes& out, const order& value) {
    write(out, value.id);
    write(out, static_cast<std::uint32_t>(value.items.size()));
    for (const small& each : value.items) { write(out, each); }
}

bool take(std::span<const std::byte>& in, void* to, std::size_t size) {
    if (in.size() < size) { return false; }
    std::memcpy(to, in.data(), size);
    in = in.subspan(size);
    return true;
}
template <std::integral T>
bool read(std::span<const std::byte>& in, T& value) {
    return take(in, &value, sizeof value);
}
bool read(std::span<const std::byte>& in, std::string& text) {
    std::uint32_t size = 0;
    if (!read(in, size) || in.size() < size) { return false; }
    text.assign(reinterpret_cast<const char*>(in.data()), size);
    in = in.subspan(size);
    return true;
}
bool read(std::span<const std::byte>& in, small& value) {
    return read(in, value.amount) && read(in, value.number);
}
bool read(std::span<const std::byte>& in, note& value) {
    return read(in, value.id) && read(in, value.content_type) && read(in, value.body);
}
bool read(std::span<const std::byte>& in, order& value) {
    std::uint32_t count = 0;
    if (!read(in, value.id) || !read(in, count) || in.size() < count) { return false; }
    value.items.resize(count);
    return std::ranges::all_of(value.items, [&](small& each) { return read(in, each); });
}

// What both do for a message, into room that is there already.
template <typename T>
struct by_hand {
    static void encode(bytes& out, const T& value) { write(out, value); }
    static bool decode(std::span<const std::byte> in, T& value) {
        T decoded{};  // As the codec does: what was there is not used again.
        if (!read(in, decoded) || !in.empty()) { return false; }
        value = std::move(decoded);
        return true;
    }
};
template <typename T>
struct by_codec {
    static void encode(bytes& out, const T& value) { heph::remote::encode_to(out, value); }
    static bool decode(std::span<const std::byte> in, T& value) {
        auto decoded = heph::remote::decode<T>(in);
        if (!decoded) { return false; }
        value = std::move(*decoded);
        return true;
    }
};

struct timing {
    double encode_ns = std::numeric_limits<double>::max();
    double decode_ns = std::numeric_limits<double>::max();
    std::size_t size = 0;
};

double ns_each(std::chrono::steady_clock::time_point since, int count) {
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - since;
    return took.count() / count;
}

template <typename How, typename T>
bool measure(const T& value, int count, timing& best) {
    bytes out;
    const auto before = std::chrono::steady_clock::now();
    for (int i = 0; i < count; ++i) {
        out.clear();
        How::encode(out, value);
        asm volatile("" : : "r"(out.data()) : "memory");
    }
    best.encode_ns = std::min(best.encode_ns, ns_each(before, count));
    best.size = out.size();
    T read_back;
    bool good = true;
    const auto between = std::chrono::steady_clock::now();
    for (int i = 0; i < count; ++i) {
        good = How::decode(out, read_back) && good;
        asm volatile("" : : "r"(&read_back) : "memory");
    }
    best.decode_ns = std::min(best.decode_ns, ns_each(between, count));
    return good;
}

template <typename T>
bool compare(const char* name, const T& value, int count, int repeats) {
    timing hand;
    timing codec;
    for (int i = 0; i < repeats; ++i) {
        if (!measure<by_hand<T>>(value, count, hand)) { return false; }
        if (!measure<by_codec<T>>(value, count, codec)) { return false; }
    }
    std::printf("%-28s %6zu B %8.0f ns %8.0f ns | %6zu B %8.0f ns %8.0f ns | %5.2f %5.2f\n", name,
                hand.size, hand.encode_ns, hand.decode_ns, codec.size, codec.encode_ns,
                codec.decode_ns, codec.encode_ns / hand.encode_ns,
                codec.decode_ns / hand.decode_ns);
    return true;
}

}  // namespace

int main(int count, char**) {
    const int repeats = count > 1 ? 2 : 15;  // With any argument, to see that it runs.
    std::printf("%-28s %-29s | %-29s | %s\n", "", "by hand: size, write, read",
                "codec: size, write, read", "ratios");
    const note text{"meeting-2026", "text/plain", std::string(1000, 'x')};
    order many;
    many.id = 7;
    for (int i = 0; i < 1000; ++i) { many.items.push_back({i, std::uint64_t(i) * 1'000'003}); }
    const bool good = compare("two integers", small{300, 70'000}, 200'000, repeats) &&
                      compare("three strings, 1,000 B", text, 50'000, repeats) &&
                      compare("1,000 structs of two", many, 300, repeats);
    if (!good) { std::puts("what was written is not read"); }
    return good ? 0 : 1;
}
