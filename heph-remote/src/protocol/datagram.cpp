#include <heph/remote/protocol/datagram.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace heph::remote::protocol {

namespace {

constexpr std::string_view datagram_magic = "hrly";
constexpr std::byte datagram_version{1};
enum class datagram_mode : std::uint8_t { plain = 0, authenticated = 1 };

// Magic, version, mode, time, id, length of the type's name.
constexpr std::size_t datagram_head_bytes = 4 + 1 + 1 + 8 + 16 + 1;
constexpr std::size_t datagram_tag_bytes = std::tuple_size_v<datagram_key::tag>;

// Writes to where the tag stays: it may be a key, of which no copy is to be left on the stack.
void hmac_sha256(datagram_key::tag& made, std::span<const std::byte> key,
                 std::span<const std::byte> bytes) {
    unsigned size = 0;
    const auto* const done =
        ::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
               reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
               reinterpret_cast<unsigned char*>(made.data()), &size);
    if (done == nullptr || size != made.size()) { throw std::runtime_error("HMAC-SHA256 failed"); }
}

void append_u64(std::vector<std::byte>& to, std::uint64_t number) {
    for (int shift = 56; shift >= 0; shift -= 8) {
        to.push_back(static_cast<std::byte>(number >> static_cast<unsigned>(shift)));
    }
}

std::uint64_t u64_at(std::span<const std::byte> bytes, std::size_t at) noexcept {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < 8; ++i) {
        number = number << 8U | std::to_integer<std::uint64_t>(bytes[at + i]);
    }
    return number;
}

std::int64_t milliseconds_of(datagram_sealer::clock::time_point when) noexcept {
    using std::chrono::milliseconds;
    return std::chrono::duration_cast<milliseconds>(when.time_since_epoch()).count();
}

}  // namespace

std::string_view to_string(datagram_refusal why) noexcept {
    switch (why) {
        case datagram_refusal::malformed: return "it is no datagram of a relay";
        case datagram_refusal::other_version: return "it is of another version of the protocol";
        case datagram_refusal::too_large: return "it is larger than datagrams may be";
        case datagram_refusal::other_mode:
            return "one end uses a secret, the other one does not: give both the same";
        case datagram_refusal::wrong_secret: return "the two ends have other secrets, or channels";
        case datagram_refusal::out_of_time:
            return "it is too old, or the clocks of the machines differ";
        case datagram_refusal::repeated: return "it came already";
        case datagram_refusal::own: return "it is this relay's own";
        case datagram_refusal::too_many_senders: break;
    }
    return "there are too many senders";
}

datagram_key::datagram_key(std::span<const std::byte> secret, std::string_view channel) {
    // What the secret gives here is of no use elsewhere, nor in another channel.
    std::string text = "heph udp relay 1 ";
    text += channel;
    hmac_sha256(bytes_, secret, std::as_bytes(std::span(text)));
}

datagram_key::~datagram_key() { ::OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

datagram_key::tag datagram_key::tag_of(std::span<const std::byte> bytes) const {
    tag made{};
    hmac_sha256(made, bytes_, bytes);
    return made;
}

std::expected<id128, datagram_refusal> datagram_sealer::seal(std::vector<std::byte>& out,
                                                             std::string_view type,
                                                             std::span<const std::byte> payload,
                                                             clock::time_point now) {
    const std::size_t around = datagram_head_bytes + type.size() + (key_ ? datagram_tag_bytes : 0);
    if (type.size() > std::numeric_limits<std::uint8_t>::max() || around > bytes_max_ ||
        payload.size() > bytes_max_ - around) {
        return std::unexpected(datagram_refusal::too_large);
    }
    const id128 id{sender_, ++count_};
    const std::size_t begin = out.size();
    const auto append = [&out](std::span<const std::byte> bytes) {
        out.insert(out.end(), bytes.begin(), bytes.end());
    };
    append(std::as_bytes(std::span(datagram_magic)));
    out.push_back(datagram_version);
    out.push_back(
        static_cast<std::byte>(key_ ? datagram_mode::authenticated : datagram_mode::plain));
    append_u64(out, static_cast<std::uint64_t>(milliseconds_of(now)));
    append_u64(out, id.high);
    append_u64(out, id.low);
    out.push_back(static_cast<std::byte>(type.size()));
    append(std::as_bytes(std::span(type)));
    append(payload);
    if (key_) { append(key_->tag_of(std::span(out).subspan(begin))); }
    return id;
}

bool datagram_opener::window::accept(std::uint64_t count) noexcept {
    if (count > highest) {
        // What the window moves over was not seen yet.
        const std::uint64_t moved = std::min<std::uint64_t>(count - highest, window_counts);
        for (std::uint64_t i = 0; i < moved; ++i) {
            const std::uint64_t at = (count - i) % window_counts;
            seen[at / 64] &= ~(std::uint64_t{1} << at % 64);
        }
        highest = count;
    } else if (highest - count >= window_counts) {
        return false;
    }
    const std::uint64_t at = count % window_counts;
    const std::uint64_t bit = std::uint64_t{1} << at % 64;
    if ((seen[at / 64] & bit) != 0) { return false; }
    seen[at / 64] |= bit;
    return true;
}

datagram_opener::window* datagram_opener::window_of(std::uint64_t sender, std::int64_t now_ms) {
    if (const auto found = senders_.find(sender); found != senders_.end()) {
        return &found->second;
    }
    if (senders_.size() >= limits_.senders_max) {
        const auto oldest = std::ranges::min_element(
            senders_, {}, [](const auto& each) { return each.second.newest_ms; });
        if (oldest == senders_.end()) { return nullptr; }
        // By its time, whatever it sent is refused from then on. Without a secret times say
        // nothing, and anyone can be as many senders as he likes.
        const bool is_past = oldest->second.newest_ms < now_ms - limits_.time_window.count();
        if (!keys_.empty() && !is_past) { return nullptr; }
        senders_.erase(oldest);
    }
    return &senders_[sender];
}

std::expected<opened_datagram, datagram_refusal> datagram_opener::open(
    std::span<const std::byte> bytes, clock::time_point now) {
    using enum datagram_refusal;
    if (bytes.size() > limits_.bytes_max) { return std::unexpected(too_large); }
    if (bytes.size() < datagram_head_bytes ||
        std::memcmp(bytes.data(), datagram_magic.data(), datagram_magic.size()) != 0) {
        return std::unexpected(malformed);
    }
    if (bytes[4] != datagram_version) { return std::unexpected(other_version); }
    const auto how = static_cast<datagram_mode>(bytes[5]);
    if (how != datagram_mode::plain && how != datagram_mode::authenticated) {
        return std::unexpected(malformed);
    }
    if ((how == datagram_mode::plain) != keys_.empty()) { return std::unexpected(other_mode); }
    if (how == datagram_mode::authenticated) {
        if (bytes.size() < datagram_head_bytes + datagram_tag_bytes) {
            return std::unexpected(malformed);
        }
        const auto tag = bytes.last(datagram_tag_bytes);
        bytes = bytes.first(bytes.size() - datagram_tag_bytes);
        const bool is_right = std::ranges::any_of(keys_, [&](const datagram_key& key) {
            const auto wanted = key.tag_of(bytes);
            return ::CRYPTO_memcmp(wanted.data(), tag.data(), datagram_tag_bytes) == 0;
        });
        if (!is_right) { return std::unexpected(wrong_secret); }
    }
    opened_datagram made;
    made.id = {u64_at(bytes, 14), u64_at(bytes, 22)};
    const auto name_bytes = std::to_integer<std::size_t>(bytes[datagram_head_bytes - 1]);
    if (name_bytes > bytes.size() - datagram_head_bytes || made.id.low == 0) {
        return std::unexpected(malformed);
    }
    const std::int64_t now_ms = milliseconds_of(now);
    std::int64_t its_ms = now_ms;
    if (how == datagram_mode::authenticated) {
        // As far as numbers go, it may be from any time.
        const std::uint64_t said = u64_at(bytes, 6);
        const auto window_ms = static_cast<std::uint64_t>(limits_.time_window.count());
        const auto here = static_cast<std::uint64_t>(now_ms);
        if ((said > here ? said - here : here - said) > window_ms) {
            return std::unexpected(out_of_time);
        }
        its_ms = static_cast<std::int64_t>(said);
    }
    if (made.id.high == own_) { return std::unexpected(own); }
    window* const of_sender = window_of(made.id.high, now_ms);
    if (of_sender == nullptr) { return std::unexpected(too_many_senders); }
    if (!of_sender->accept(made.id.low)) { return std::unexpected(repeated); }
    of_sender->newest_ms = std::max(of_sender->newest_ms, its_ms);
    const auto name = bytes.subspan(datagram_head_bytes, name_bytes);
    made.type = {reinterpret_cast<const char*>(name.data()), name.size()};
    made.payload = bytes.subspan(datagram_head_bytes + name_bytes);
    return made;
}

}  // namespace heph::remote::protocol
