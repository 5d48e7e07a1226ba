#include "message_call.hpp"

#include <liburing.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <heph/rt/error.hpp>

#include "../system_call.hpp"
#include "socket_calls.hpp"

namespace heph::rt::detail {

namespace {

// Calls `visit` with the data of each header that carries descriptors.
template <typename Visit>
void for_each_descriptor(msghdr& header, Visit visit) {
    for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr;
         each = CMSG_NXTHDR(&header, each)) {
        if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS ||
            each->cmsg_len < CMSG_LEN(0)) {
            continue;
        }
        const std::size_t count = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int descriptor = -1;
            std::memcpy(&descriptor, CMSG_DATA(each) + i * sizeof(int), sizeof(int));
            visit(descriptor);
        }
        each->cmsg_type = 0;  // Taken: not again.
    }
}

}  // namespace

// Sending.

void send_message_call::attach(std::vector<descriptor_handle> descriptors) {
    descriptors_ = std::move(descriptors);
    control_bytes_ = CMSG_SPACE(descriptors_.size() * sizeof(int));
    control_ = std::make_unique<std::byte[]>(control_bytes_);
    header_.msg_control = control_.get();
    header_.msg_controllen = control_bytes_;
    cmsghdr* const head = CMSG_FIRSTHDR(&header_);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(descriptors_.size() * sizeof(int));
    for (std::size_t i = 0; i < descriptors_.size(); ++i) {
        const int descriptor = descriptors_[i].get();
        std::memcpy(CMSG_DATA(head) + i * sizeof(int), &descriptor, sizeof(int));
    }
}

void send_message_call::prepare() noexcept {
    header_.msg_name = address_bytes != 0 ? &address : nullptr;
    header_.msg_namelen = address_bytes;
    // What came along is at the receiver with the first bytes.
    header_.msg_control = begun_ ? nullptr : control_.get();
    header_.msg_controllen = begun_ ? 0 : control_bytes_;
    // Of a message all parts go at once, or it is too long.
    set_parts(bytes.to_send(all_ ? parts_max : ~std::size_t{0}));
}

std::int32_t send_message_call::perform() noexcept {
    prepare();
    return retry(
        [this] { return calls::sendmsg(descriptor(), &header_, MSG_DONTWAIT | MSG_NOSIGNAL); });
}

void send_message_call::submit(io_uring_sqe& entry) noexcept {
    prepare();
    // A message is tried once. Left to wait by itself, the ring (6.18 and before) sends an empty
    // one in the end: it goes on behind the bytes that the first try took.
    const unsigned flags = MSG_NOSIGNAL | (all_ ? MSG_WAITALL : MSG_DONTWAIT);
    io_uring_prep_sendmsg(&entry, descriptor(), &header_, flags);
}

bool send_message_call::again(std::int32_t& result) noexcept {
    if (!all_ || result < 0) { return false; }
    begun_ = true;
    return bytes.note_sent(static_cast<std::size_t>(result));
}

// Receiving.

receive_message_call::~receive_message_call() {
    // Those of a message that nobody took. Before there is a message, the memory is zero.
    for_each_descriptor(header_, [](int descriptor) { ::close(descriptor); });
}

void receive_message_call::expect_descriptors(std::size_t count) {
    // Without the padding behind, which would take one more.
    control_bytes_ = CMSG_LEN(count * sizeof(int));
    control_ = std::make_unique<std::byte[]>(CMSG_SPACE(count * sizeof(int)));
}

std::vector<descriptor_handle> receive_message_call::take_descriptors() {
    std::vector<descriptor_handle> taken;
    taken.reserve(control_bytes_ / sizeof(int));  // From here on nothing fails.
    for_each_descriptor(header_, [&](int descriptor) { taken.emplace_back(descriptor); });
    return taken;
}

void receive_message_call::prepare() noexcept {
    header_.msg_name = wants_address_ ? &address : nullptr;
    header_.msg_namelen = wants_address_ ? sizeof(address) : 0;
    header_.msg_control = control_.get();
    header_.msg_controllen = control_bytes_;
    header_.msg_flags = 0;
    set_parts(bytes.to_fill(parts_max));
}

std::int32_t receive_message_call::perform() noexcept {
    prepare();
    return retry([this] { return calls::recvmsg(descriptor(), &header_, flags_ | MSG_DONTWAIT); });
}

void receive_message_call::submit(io_uring_sqe& entry) noexcept {
    prepare();
    io_uring_prep_recvmsg(&entry, descriptor(), &header_, static_cast<unsigned>(flags_));
}

io_future<buffer> send_with_descriptors(int descriptor, buffer bytes,
                                        std::vector<descriptor_handle> descriptors, bool all) {
    if (descriptor < 0) { return io_future<buffer>(make_error_code(errc::closed)); }
    if (descriptors.size() > net::descriptors_max) {
        return io_future<buffer>(std::make_error_code(std::errc::invalid_argument));
    }
    auto call = std::make_unique<send_message_call>(descriptor, std::move(bytes));
    if (!descriptors.empty()) { call->attach(std::move(descriptors)); }
    if (all) { call->send_all(); }
    return io_future<buffer>(std::move(call), &take_sent<buffer>);
}

namespace {

std::expected<net::message_with_descriptors, std::error_code> take_descriptors(
    io_call& call, std::int32_t result) {
    auto& received = static_cast<receive_message_call&>(call);
    const bool lost = received.lost_descriptors();
    auto descriptors = received.take_descriptors();
    return net::message_with_descriptors(to_message<buffer>(received, result),
                                         std::move(descriptors), lost);
}

}  // namespace

io_future<net::message_with_descriptors> recv_with_descriptors(int descriptor, buffer into,
                                                               std::size_t most, int flags) {
    using result = io_future<net::message_with_descriptors>;
    if (descriptor < 0) { return result(make_error_code(errc::closed)); }
    auto call = std::make_unique<receive_message_call>(descriptor, std::move(into),
                                                       flags | MSG_CMSG_CLOEXEC, false);
    call->expect_descriptors(std::min(most, net::descriptors_max));
    return result(std::move(call), &take_descriptors);
}

}  // namespace heph::rt::detail
