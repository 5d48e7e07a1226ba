#include "sim_driver.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sim_host.hpp"
#include "sim_network.hpp"

namespace heph::rt::detail {

namespace {

bool reads(const slot& operation) noexcept {
    switch (operation.request.code) {
        case request_code::send:
        case request_code::connect: return false;
        case request_code::call:
        case request_code::await: return operation.call->reads();
        default: return true;
    }
}

// Tells whether an operation is one on a socket.
bool is_of_sockets(const slot& operation) noexcept {
    switch (operation.request.code) {
        case request_code::receive:
        case request_code::receive_many:
        case request_code::send:
        case request_code::accept_many:
        case request_code::accept_one:
        case request_code::connect: return true;
        case request_code::call:
        case request_code::await:
            return operation.call->how() == io_call::waits::to_read ||
                   operation.call->how() == io_call::waits::to_write ||
                   operation.call->how() == io_call::waits::to_retry;
        case request_code::open:
        case request_code::read:
        case request_code::write:
        case request_code::sync:
        case request_code::close: break;
    }
    return false;
}

}  // namespace

sim_driver::sim_driver(worker_link& link, const driver_settings& settings, sim_host& host)
    : driver(link, settings), host_(&host) {}

sim_driver::~sim_driver() {
    host_->forget_driver();
    give_up_slots();
}

std::unique_ptr<buffer_pool> sim_driver::make_buffers() {
    return buffer_pool::make(settings_.receive_buffers, settings_.receive_buffer_bytes);
}

// Requests.

void sim_driver::start(slot& operation) noexcept {
    if (!is_of_sockets(operation) || !host_->knows(operation.request.descriptor)) {
        finish(operation, -EOPNOTSUPP);
        return;
    }
    if (operation.request.code == request_code::accept_one) {
        finish(operation, host_->accept(operation.request.descriptor));
    } else if (host_->network().random().chance(0.5)) {
        try_or_wait(operation);
    } else {
        soon_.push(operation);
    }
}

void sim_driver::try_or_wait(slot& operation) noexcept {
    waiting& those = waiting_[operation.request.descriptor];
    slot_list& list = reads(operation) ? those.readers : those.writers;
    if (list.empty() && attempt(operation)) { return; }
    list.push(operation);
}

void sim_driver::cancel(slot& operation) noexcept { finish(operation, -ECANCELED); }

void sim_driver::pause(slot& operation) noexcept {
    if (operation.armed) { (void)end_multishot(operation); }
}

void sim_driver::close_ordinary(int descriptor) noexcept {
    if (const auto found = waiting_.find(descriptor); found != waiting_.end()) {
        while (slot* const each = found->second.readers.front()) { finish(*each, -ECANCELED); }
        while (slot* const each = found->second.writers.front()) { finish(*each, -ECANCELED); }
        waiting_.erase(found);
    }
    host_->close(descriptor);
}

// Attempts.

bool sim_driver::attempt(slot& operation) noexcept {
    const request& asked = operation.request;
    std::int32_t result = 0;
    switch (asked.code) {
        case request_code::receive_many: return attempt_receive_many(operation);
        case request_code::accept_many: return attempt_accept_many(operation);
        case request_code::receive: {
            const auto room = operation.data.spare_bytes();
            iovec part{room.data(), room.size()};
            msghdr message{};
            message.msg_iov = &part;
            message.msg_iovlen = 1;
            result = static_cast<std::int32_t>(host_->recvmsg(asked.descriptor, &message, 0));
            break;
        }
        case request_code::send: {
            iovec part{operation.data.data() + asked.from, operation.data.size() - asked.from};
            msghdr message{};
            message.msg_iov = &part;
            message.msg_iovlen = 1;
            result = static_cast<std::int32_t>(host_->sendmsg(asked.descriptor, &message));
            break;
        }
        case request_code::connect:
            result = host_->connect(asked.descriptor,
                                    reinterpret_cast<const sockaddr*>(operation.address.get()),
                                    static_cast<socklen_t>(asked.flags));
            if (result == -EINPROGRESS || result == -EALREADY) { return false; }
            break;
        case request_code::call: result = operation.call->perform(); break;
        case request_code::await:
            result = host_->is_ready(asked.descriptor, operation.call->reads()) ? 0 : -EAGAIN;
            break;
        case request_code::accept_one:
        case request_code::open:
        case request_code::read:
        case request_code::write:
        case request_code::sync:
        case request_code::close: result = -EOPNOTSUPP; break;
    }
    if (result == -EAGAIN) { return false; }
    finish(operation, result);
    return true;
}

bool sim_driver::attempt_receive_many(slot& operation) noexcept {
    bool arrived = false;
    for (;;) {
        if (operation.chunks.count >= chunks_max) {
            operation.flooded = true;
            return end_multishot(operation);
        }
        const auto id = buffers_->take_free();
        if (!id) {
            operation.starved = true;
            return end_multishot(operation);
        }
        iovec part{buffers_->data(*id), buffers_->buffer_bytes()};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        const auto result =
            static_cast<std::int32_t>(host_->recvmsg(operation.request.descriptor, &message, 0));
        if (result > 0) {
            arrived = true;
            buffers_->enqueue(operation.chunks, *id, static_cast<std::size_t>(result));
            continue;
        }
        buffers_->recycle(*id);
        if (result != -EAGAIN) {
            note_received(operation, result);
            return end_multishot(operation);
        }
        if (arrived) { settle(operation, false); }
        return false;
    }
}

bool sim_driver::attempt_accept_many(slot& operation) noexcept {
    bool arrived = false;
    for (;;) {
        if (operation.accepted_waiting() >= accepted_max) { return end_multishot(operation); }
        const std::int32_t result = host_->accept(operation.request.descriptor);
        if (result == -EAGAIN) {
            if (arrived) { settle(operation, false); }
            return false;
        }
        note_accepted(operation, result);
        if (result < 0 || operation.result < 0) { return end_multishot(operation); }
        arrived = true;
    }
}

// Turns.

void sim_driver::serve(slot_list& those) noexcept {
    while (slot* const first = those.front()) {
        if (!attempt(*first)) { return; }
    }
}

void sim_driver::turn() noexcept {
    // What gets ready meanwhile waits for the next turn.
    slot* const last = soon_.back();
    while (slot* const each = soon_.front()) {
        soon_.remove(*each);
        const bool was_last = each == last;
        try_or_wait(*each);
        if (was_last) { break; }
    }
    for (const int descriptor : std::exchange(ready_, {})) {
        const auto found = waiting_.find(descriptor);
        if (found == waiting_.end()) { continue; }
        serve(found->second.readers);
        serve(found->second.writers);
    }
    if (buffers_ != nullptr) { buffers_->collect_returned(); }
    drop_unused_pools();
}

void sim_driver::wait(std::optional<std::chrono::milliseconds> /*timeout*/) noexcept { turn(); }

std::size_t sim_driver::drain(std::chrono::milliseconds /*patience*/) noexcept {
    slots_->for_each_used([this](slot& used) {
        if (used.armed && used.state == slot_state::in_flight) { cancel(used); }
    });
    return slots_->in_flight();
}

}  // namespace heph::rt::detail
