// The half of a link that reads what the peer sends.

#include <utility>

#include <heph/inbox/assert.hpp>
#include <heph/remote/codec/codec.hpp>
#include <heph/remote/protocol/link.hpp>

namespace heph::remote::protocol {

namespace {

failure failure_of(std::uint8_t number) noexcept {
    const bool known = number >= static_cast<std::uint8_t>(failure::node_down) &&
                       number <= static_cast<std::uint8_t>(failure::stopped);
    return known ? static_cast<failure>(number) : failure::node_down;
}

std::unexpected<error> malformed() noexcept { return std::unexpected(error::malformed); }

}  // namespace

std::expected<std::optional<event>, error> link::on_frame(std::span<const std::byte> frame) {
    HEPH_ASSERT(!frame.empty());
    if (current() != state::up) { return malformed(); }
    const auto body = frame.subspan(1);
    field_reader fields(body);
    switch (static_cast<frame_type>(frame.front())) {
        case frame_type::data: return on_data(body);
        case frame_type::ack: {
            const std::uint64_t sequence = fields.u64();
            if (!fields.complete()) { return malformed(); }
            const auto taken = session_->on_ack(sequence);
            if (!taken) { return std::unexpected(taken.error()); }
            return std::nullopt;
        }
        case frame_type::ping: pong_owed_ = true; return std::nullopt;
        case frame_type::pong: return std::nullopt;
        case frame_type::goodbye: {
            const auto why = static_cast<error>(fields.u8());
            if (!fields.good()) { return malformed(); }
            return event(goodbye_arrived{why});
        }
        case frame_type::hello:
        case frame_type::welcome:
        case frame_type::reject: return malformed();
    }
    // A type of a newer protocol version that may be passed over.
    return std::nullopt;
}

link::frame_event link::on_data(std::span<const std::byte> body) {
    field_reader fields(body);
    const std::uint64_t sequence = fields.u64();
    const auto kind = static_cast<data_kind>(fields.u8());
    if (!fields.good()) { return malformed(); }
    const auto is_new = session_->on_data(sequence);
    if (!is_new) { return std::unexpected(is_new.error()); }
    if (!*is_new) { return std::nullopt; }
    switch (kind) {
        case data_kind::message: return on_message(fields);
        case data_kind::call: return on_call(fields);
        case data_kind::cancel: return on_cancel(fields);
        case data_kind::reply: return on_reply(fields);
        case data_kind::call_failed: return on_call_failed(fields);
        case data_kind::message_failed: {
            const std::uint64_t token = fields.u64();
            const failure why = failure_of(fields.u8());
            if (!fields.complete()) { return malformed(); }
            return event(message_failed{token, why});
        }
        case data_kind::find: {
            const std::uint64_t request = fields.u64();
            auto name = decode<std::string>(fields.rest());
            if (!fields.good() || !name || name->size() > name_bytes_max) { return malformed(); }
            return event(find_arrived{request, std::move(*name)});
        }
        case data_kind::found: return on_found(fields);
        case data_kind::find_failed: return on_find_failed(fields);
        case data_kind::credit: return on_credit(fields);
    }
    return std::nullopt;
}

std::expected<void, error> link::admit_incoming(std::uint64_t actor, std::size_t payload_bytes) {
    if (payload_bytes > own_.message_bytes_max) { return std::unexpected(error::frame_too_large); }
    account& from = incoming_[actor];
    // What was granted, but not told yet, the peer does not know of.
    std::uint64_t messages = from.messages;
    std::uint64_t bytes = from.bytes;
    if (const auto granted = grants_.find(actor); granted != grants_.end()) {
        messages += granted->second.messages;
        bytes += granted->second.bytes;
    }
    if (messages >= own_.window_messages ||
        (messages > 0 && bytes + payload_bytes > own_.window_bytes)) {
        return std::unexpected(error::window_exceeded);
    }
    ++from.messages;
    from.bytes += payload_bytes;
    return {};
}

link::frame_event link::on_message(field_reader fields) {
    message_arrived message{};
    message.actor = fields.u64();
    message.token = fields.u64();
    message.type = fields.u16();
    message.payload = fields.rest();
    if (!fields.good()) { return malformed(); }
    const auto admitted = admit_incoming(message.actor, message.payload.size());
    if (!admitted) { return std::unexpected(admitted.error()); }
    return event(message);
}

link::frame_event link::on_call(field_reader fields) {
    call_arrived call{};
    call.actor = fields.u64();
    call.call = fields.u64();
    call.type = fields.u16();
    call.payload = fields.rest();
    if (!fields.good()) { return malformed(); }
    const auto admitted = admit_incoming(call.actor, call.payload.size());
    if (!admitted) { return std::unexpected(admitted.error()); }
    if (!called_.insert(call.call).second) { return malformed(); }
    return event(call);
}

link::frame_event link::on_cancel(field_reader fields) {
    const std::uint64_t call = fields.u64();
    if (!fields.complete()) { return malformed(); }
    if (called_.erase(call) == 0) { return std::nullopt; }
    return event(call_cancelled{call});
}

link::frame_event link::on_reply(field_reader fields) {
    const std::uint64_t call = fields.u64();
    if (!fields.good()) { return malformed(); }
    if (open_calls_.erase(call) == 0) { return std::nullopt; }
    return event(reply_arrived{call, fields.rest()});
}

link::frame_event link::on_call_failed(field_reader fields) {
    const std::uint64_t call = fields.u64();
    const failure why = failure_of(fields.u8());
    if (!fields.complete()) { return malformed(); }
    if (open_calls_.erase(call) == 0) { return std::nullopt; }
    return event(call_failed{call, why});
}

link::frame_event link::on_found(field_reader fields) {
    const std::uint64_t request = fields.u64();
    const std::uint64_t actor = fields.u64();
    auto types = decode<std::vector<std::string>>(fields.rest());
    if (!fields.good() || !types) { return malformed(); }
    if (open_searches_.erase(request) == 0) { return std::nullopt; }
    return event(found{request, actor, std::move(*types)});
}

link::frame_event link::on_find_failed(field_reader fields) {
    const std::uint64_t request = fields.u64();
    const failure why = failure_of(fields.u8());
    if (!fields.complete()) { return malformed(); }
    if (open_searches_.erase(request) == 0) { return std::nullopt; }
    return event(find_failed{request, why});
}

link::frame_event link::on_credit(field_reader fields) {
    const std::uint64_t actor = fields.u64();
    const std::uint32_t messages = fields.u32();
    const std::uint64_t bytes = fields.u64();
    if (!fields.complete()) { return malformed(); }
    const auto to = outgoing_.find(actor);
    if (to == outgoing_.end() || to->second.messages < messages || to->second.bytes < bytes) {
        return malformed();
    }
    to->second.messages -= messages;
    to->second.bytes -= bytes;
    const bool waited = std::exchange(to->second.refused, false);
    if (to->second.messages == 0) { outgoing_.erase(to); }
    if (!waited) { return std::nullopt; }
    return event(credit_arrived{actor});
}

}  // namespace heph::remote::protocol
