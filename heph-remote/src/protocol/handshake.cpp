#include <heph/remote/protocol/handshake.hpp>

#include <algorithm>
#include <utility>

#include <heph/inbox/assert.hpp>
#include <heph/remote/codec/codec.hpp>

namespace heph::remote::protocol {

namespace {

// In front of a hello, so that whatever speaks something else is known by its first frame.
constexpr std::array<std::byte, 8> magic{std::byte{'h'}, std::byte{'e'}, std::byte{'p'},
                                         std::byte{'h'}, std::byte{'l'}, std::byte{'i'},
                                         std::byte{'n'}, std::byte{'k'}};

template <typename T>
void write(std::vector<std::byte>& out, frame_type type, const T& body) {
    frame_writer frame(out, type);
    if (type == frame_type::hello) { frame.bytes(magic); }
    encode_to(out, body);
    frame.end();
}

template <typename T>
std::expected<T, codec_error> read(std::span<const std::byte> body) {
    decode_limits limits;
    limits.depth_max = 8;
    limits.memory_bytes_max = handshake_frame_bytes_max;
    return decode<T>(body, limits);
}

bool are_good(const link_limits& limits) noexcept {
    return limits.message_bytes_max > 0 && limits.window_messages > 0 && limits.window_bytes > 0 &&
           limits.parts_bytes_max > 0;
}

}  // namespace

bool is_good_name(std::string_view name) noexcept {
    return !name.empty() && name.size() <= name_bytes_max &&
           std::ranges::all_of(name, [](char c) { return c > ' ' && c <= '~'; });
}

handshake::handshake(identity self, std::string expected, session_offer offer, bool dials)
    : self_(std::move(self)), expected_(std::move(expected)), offer_(offer), dials_(dials) {}

handshake handshake::dial(identity self, std::string expected, session_offer offer) {
    handshake made(std::move(self), std::move(expected), offer, true);
    hello said;
    said.version_min = version_min;
    said.version_max = version_max;
    said.name = made.self_.name;
    said.expected = made.expected_;
    said.incarnation = made.self_.incarnation;
    said.session = offer.session;
    said.fresh = offer.fresh;
    said.received = offer.received;
    said.links = offer.links;
    said.limits = made.self_.limits;
    said.address = made.self_.address;
    write(made.output_, frame_type::hello, said);
    made.state_ = state::waiting;
    return made;
}

handshake handshake::accept_from(identity self) {
    handshake made(std::move(self), {}, {}, false);
    made.state_ = state::waiting;
    return made;
}

void handshake::fail(error why, bool tell) {
    if (tell) {
        reject said;
        said.reason = static_cast<std::uint8_t>(why);
        said.version_min = version_min;
        said.version_max = version_max;
        write(output_, frame_type::reject, said);
    }
    error_ = why;
    state_ = state::failed;
}

void handshake::on_bad_frame(error why) {
    if (state_ != state::failed) { fail(why, true); }
}

void handshake::on_frame(std::span<const std::byte> frame) {
    HEPH_ASSERT(!frame.empty());
    if (state_ != state::waiting) {
        // Nobody may say more before the answer.
        if (state_ != state::failed) { fail(error::malformed, true); }
        return;
    }
    const auto type = static_cast<frame_type>(frame.front());
    const auto body = frame.subspan(1);
    if (type == frame_type::reject) { return on_reject(body); }
    if (type == frame_type::hello && !dials_) { return on_hello(body); }
    if (type == frame_type::welcome && dials_) { return on_welcome(body); }
    fail(error::garbage, true);
}

void handshake::on_hello(std::span<const std::byte> body) {
    if (body.size() < magic.size() || !std::ranges::equal(body.first(magic.size()), magic)) {
        return fail(error::garbage, true);
    }
    auto said = read<hello>(body.subspan(magic.size()));
    if (!said) { return fail(error::malformed, true); }
    if (said->version_max < version_min || said->version_min > version_max) {
        return fail(error::version_mismatch, true);
    }
    if (!is_good_name(said->name) || said->incarnation.is_zero() || said->fresh.is_zero() ||
        !are_good(said->limits) || said->address.size() > name_bytes_max) {
        return fail(error::malformed, true);
    }
    if (said->name == self_.name) { return fail(error::own_name, true); }
    if (said->expected != self_.name) { return fail(error::wrong_name, true); }
    hello_ = std::move(*said);
    state_ = state::deciding;
}

void handshake::accept(const id128& session, std::uint64_t received) {
    HEPH_ASSERT(state_ == state::deciding);
    HEPH_ASSERT(session == hello_.session || session == hello_.fresh);
    welcome said;
    said.version = std::min(version_max, hello_.version_max);
    said.name = self_.name;
    said.incarnation = self_.incarnation;
    said.session = session;
    said.received = received;
    said.limits = self_.limits;
    said.address = self_.address;
    write(output_, frame_type::welcome, said);
    result_.peer = hello_.name;
    result_.version = said.version;
    result_.incarnation = hello_.incarnation;
    result_.session = session;
    result_.dialed = false;
    result_.peer_received = session == hello_.session ? hello_.received : 0;
    result_.peer_limits = hello_.limits;
    result_.peer_address = hello_.address;
    state_ = state::done;
}

void handshake::turn_away(error why) {
    HEPH_ASSERT(state_ == state::deciding);
    fail(why, true);
}

void handshake::on_welcome(std::span<const std::byte> body) {
    const auto said = read<welcome>(body);
    if (!said || said->incarnation.is_zero() || !are_good(said->limits) ||
        said->address.size() > name_bytes_max) {
        return fail(error::malformed, true);
    }
    if (said->version < version_min || said->version > version_max) {
        return fail(error::version_mismatch, true);
    }
    if (said->name != expected_) { return fail(error::wrong_name, true); }
    const bool resumed = !offer_.session.is_zero() && said->session == offer_.session;
    if (!resumed && said->session != offer_.fresh) { return fail(error::malformed, true); }
    result_.peer = said->name;
    result_.version = said->version;
    result_.incarnation = said->incarnation;
    result_.session = said->session;
    result_.dialed = true;
    result_.peer_received = said->received;
    result_.peer_limits = said->limits;
    result_.peer_address = said->address;
    state_ = state::done;
}

void handshake::on_reject(std::span<const std::byte> body) {
    const auto said = read<reject>(body);
    refused_by_peer_ = said.has_value();
    fail(said ? static_cast<error>(said->reason) : error::malformed, false);
}

void handshake::take_output(std::vector<std::byte>& out) {
    out.insert(out.end(), output_.begin(), output_.end());
    output_.clear();
}

std::optional<error> judge(std::string_view own_name, const standing& now,
                           const hello& heard) noexcept {
    if (now.linked) {
        if (now.incarnation != heard.incarnation) {
            if (now.heard_lately) { return error::duplicate_name; }
            return std::nullopt;
        }
        if (now.dialed && heard.links < now.links) { return error::duplicate_connection; }
        return std::nullopt;
    }
    if (now.hello_under_way && own_name < heard.name) { return error::duplicate_connection; }
    return std::nullopt;
}

}  // namespace heph::remote::protocol
