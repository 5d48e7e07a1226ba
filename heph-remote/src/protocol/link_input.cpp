// The half of a link that reads what the peer sends.

#include <utility>

#include <heph/inbox/assert.hpp>
#include <heph/remote/codec/codec.hpp>
#include <heph/remote/protocol/link.hpp>

namespace heph::remote::protocol {

namespace {

failure failure_of(std::uint8_t number) noexcept {
    const bool known = number >= static_cast<std::uint8_t>(failure::node_down) &&
                       number <= static_cast<std::uint8_t>(failure::unsupported);
    return known ? static_cast<failure>(number) : failure::node_down;
}

std::unexpected<error> malformed() noexcept { return std::unexpected(error::malformed); }

// What has to be passed over.
std::expected<std::optional<event>, error> nothing() { return std::nullopt; }

}  // namespace

std::expected<std::optional<event>, error> link::on_frame(std::span<const std::byte> frame) {
    HEPH_ASSERT(!frame.empty());
    if (current() != state::up) { return malformed(); }
    let_go_of_assembled();
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

// Its memory is for the next one, as large payloads mostly come one after the other: the kernel
// would have to give each page anew.
void link::let_go_of_assembled() noexcept {
    if (!assembled_.empty()) { assembling_.recycle(std::exchange(assembled_, {})); }
}

void link::trim() noexcept {
    let_go_of_assembled();
    assembling_.trim();
}

std::span<std::byte> link::place(std::span<const std::byte, head_bytes> head, std::size_t rest) {
    field_reader fields(head);
    const auto type = static_cast<frame_type>(fields.u8());
    const std::uint64_t sequence = fields.u64();
    const auto kind = static_cast<data_kind>(fields.u8());
    if (current() != state::up || version_ < 2 || type != frame_type::data ||
        kind != data_kind::part || sequence != session_->received() + 1) {
        return {};
    }
    return assembling_.room(fields.u64(), rest);
}

std::expected<std::optional<event>, error> link::on_placed_frame(std::span<const std::byte> head) {
    if (current() != state::up) { return malformed(); }
    let_go_of_assembled();
    field_reader fields(head.subspan(1));
    const std::uint64_t sequence = fields.u64();
    (void)fields.u8();
    const std::uint64_t stream = fields.u64();
    const auto is_new = session_->on_data(sequence, head.size() - 1 + assembling_.placed(stream));
    if (!is_new) { return std::unexpected(is_new.error()); }
    if (!*is_new) { return std::nullopt; }
    return on_part_taken(assembling_.commit(stream));
}

link::frame_event link::on_data(std::span<const std::byte> body) {
    field_reader fields(body);
    const std::uint64_t sequence = fields.u64();
    const auto kind = static_cast<data_kind>(fields.u8());
    if (!fields.good()) { return malformed(); }
    const auto is_new = session_->on_data(sequence, body.size());
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
        case data_kind::watch: return version_ < 2 ? nothing() : on_watch(fields);
        case data_kind::unwatch: return version_ < 2 ? nothing() : on_unwatch(fields);
        case data_kind::ended: return version_ < 2 ? nothing() : on_ended(fields);
        case data_kind::parts_begin: return version_ < 2 ? nothing() : on_parts_begin(fields);
        case data_kind::part: return version_ < 2 ? nothing() : on_part(fields);
        case data_kind::parts_end: return version_ < 2 ? nothing() : on_parts_end(fields);
    }
    return std::nullopt;
}

std::expected<void, error> link::admit_incoming(std::uint64_t actor, std::size_t payload_bytes) {
    if (payload_bytes > own_.message_bytes_max) { return std::unexpected(error::frame_too_large); }
    incoming_account& from = incoming_[actor];
    // What was granted, but not told yet, the peer does not know of.
    const std::uint64_t messages = from.messages + from.granted_messages;
    const std::uint64_t bytes = from.bytes + from.granted_bytes;
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
    return open_call(call);
}

link::frame_event link::open_call(const call_arrived& call) {
    if (called_.contains(call.call)) { return malformed(); }
    if (called_.size() >= own_.calls_max) {
        grant(call.actor, call.payload.size());
        push_call_failed(call.call, failure::full);
        return std::nullopt;
    }
    called_.insert(call.call);
    return event(call);
}

link::frame_event link::on_cancel(field_reader fields) {
    const std::uint64_t call = fields.u64();
    if (!fields.complete()) { return malformed(); }
    if (called_.erase(call) == 0) {
        drop_parts(data_kind::reply, call);
        return std::nullopt;
    }
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

link::frame_event link::on_watch(field_reader fields) {
    const std::uint64_t watch = fields.u64();
    const std::uint64_t actor = fields.u64();
    if (!fields.complete() || !watched_.insert(watch).second) { return malformed(); }
    // An end that is not told yet counts as well: the peer does not know of it.
    std::size_t open = watched_.size();
    for (const auto& [why, watches] : ended_) { open += watches.size(); }
    if (open > own_.watches_max) { return std::unexpected(error::window_exceeded); }
    return event(watch_arrived{watch, actor});
}

link::frame_event link::on_unwatch(field_reader fields) {
    const std::uint64_t watch = fields.u64();
    if (!fields.complete()) { return malformed(); }
    if (watched_.erase(watch) == 0) {
        // The peer counts it no more, so it must not count here either; its end is no news.
        for (auto& [why, watches] : ended_) { watches.erase(watch); }
        return std::nullopt;
    }
    return event(unwatch_arrived{watch});
}

link::frame_event link::on_ended(field_reader fields) {
    const failure why = failure_of(fields.u8());
    if (!fields.good() || fields.rest().size() % sizeof(std::uint64_t) != 0) { return malformed(); }
    while (!fields.rest().empty()) {
        const std::uint64_t watch = fields.u64();
        if (open_watches_.erase(watch) != 0) { news_.push_back(watch_ended{watch, why}); }
    }
    return std::nullopt;
}

link::frame_event link::on_parts_begin(field_reader fields) {
    const std::uint64_t stream = fields.u64();
    const std::uint32_t bytes_in_all = fields.u32();
    parts_header what;
    what.kind = static_cast<data_kind>(fields.u8());
    what.actor = fields.u64();
    what.number = fields.u64();
    what.type = fields.u16();
    if (!fields.complete()) { return malformed(); }
    const bool is_reply = what.kind == data_kind::reply;
    if (!is_reply && what.kind != data_kind::message && what.kind != data_kind::call) {
        return malformed();
    }
    const auto begun = assembling_.begin(stream, what, bytes_in_all,
                                         !is_reply || open_calls_.contains(what.number));
    if (!begun) { return std::unexpected(begun.error()); }
    if (is_reply) { return std::nullopt; }
    const auto admitted = admit_incoming(what.actor, bytes_in_all);
    if (!admitted) { return std::unexpected(admitted.error()); }
    return std::nullopt;
}

link::frame_event link::on_part(field_reader fields) {
    const std::uint64_t stream = fields.u64();
    if (!fields.good()) { return malformed(); }
    return on_part_taken(assembling_.add(stream, fields.rest()));
}

link::frame_event link::on_part_taken(
    std::expected<std::optional<incoming_parts::whole>, error> taken) {
    if (!taken) { return std::unexpected(taken.error()); }
    if (!*taken) { return std::nullopt; }
    const parts_header what = (*taken)->what;
    assembled_ = std::move((*taken)->bytes);
    switch (what.kind) {
        case data_kind::call: return open_call({what.actor, what.number, what.type, assembled_});
        case data_kind::reply:
            if (open_calls_.erase(what.number) == 0) { return std::nullopt; }
            return event(reply_arrived{what.number, assembled_});
        default: return event(message_arrived{what.actor, what.number, what.type, assembled_});
    }
}

link::frame_event link::on_parts_end(field_reader fields) {
    const std::uint64_t stream = fields.u64();
    if (!fields.complete()) { return malformed(); }
    const auto ended = assembling_.end(stream);
    if (!ended) { return std::unexpected(ended.error()); }
    if (ended->what.kind != data_kind::reply) { grant(ended->what.actor, ended->bytes_in_all); }
    return std::nullopt;
}

}  // namespace heph::remote::protocol
