#include "kernel_tls.hpp"

#include <liburing.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include <heph/rt/descriptor.hpp>
#include <heph/rt/error.hpp>

#include "../system_call.hpp"
#include "socket_calls.hpp"

namespace heph::rt::detail {

namespace {

constexpr int tls_level = 282;  // SOL_TLS, which the C library has no name for.

/// Without a ring: until the socket has no room. On one: as it says, the ring waits.
///
/// The kernel refuses MSG_WAITALL here, so that what is left goes into another request.
class record_call final : public io_call {
public:
    record_call(int socket, buffer bytes, std::uint8_t type) noexcept
        : io_call(socket, waits::to_write, true), bytes_(std::move(bytes)) {
        header_.msg_iov = &part_;
        header_.msg_iovlen = 1;
        if (type == data_record) { return; }
        header_.msg_control = control_.data();
        header_.msg_controllen = control_.size();
        cmsghdr* says = CMSG_FIRSTHDR(&header_);
        says->cmsg_level = tls_level;
        says->cmsg_type = TLS_SET_RECORD_TYPE;
        says->cmsg_len = CMSG_LEN(sizeof type);
        std::memcpy(CMSG_DATA(says), &type, sizeof type);
    }

    [[nodiscard]] buffer take() noexcept { return std::move(bytes_); }

    [[nodiscard]] std::int32_t perform() noexcept override {
        prepare();
        return retry(
            [this] { return ::sendmsg(descriptor(), &header_, MSG_DONTWAIT | MSG_NOSIGNAL); });
    }
    void submit(io_uring_sqe& entry) noexcept override {
        prepare();
        io_uring_prep_sendmsg(&entry, descriptor(), &header_, MSG_NOSIGNAL);
    }
    [[nodiscard]] bool again(std::int32_t& result) noexcept override {
        if (result < 0) { return false; }
        sent_ += static_cast<std::size_t>(result);
        return sent_ < bytes_.size();
    }

private:
    void prepare() noexcept { part_ = {bytes_.data() + sent_, bytes_.size() - sent_}; }

    buffer bytes_;
    std::size_t sent_ = 0;
    iovec part_{};
    msghdr header_{};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(std::uint8_t))> control_{};
};

/// A connection of this host to itself.
class own_connection {
public:
    own_connection() noexcept
        : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
          socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        sockaddr_in where{};
        where.sin_family = AF_INET;
        where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* name = reinterpret_cast<sockaddr*>(&where);
        socklen_t size = sizeof where;
        if (!listener_.is_open() || !socket_.is_open() ||
            ::bind(listener_.get(), name, size) != 0 || ::listen(listener_.get(), 1) != 0 ||
            ::getsockname(listener_.get(), name, &size) != 0 ||
            (::connect(socket_.get(), name, size) != 0 && errno != EINPROGRESS)) {
            return;
        }
        // It is there at once, unless somebody does not let it.
        constexpr int patience_ms = 100;
        pollfd connected{socket_.get(), POLLOUT, 0};
        is_good_ = ::poll(&connected, 1, patience_ms) == 1 && connected.revents == POLLOUT;
    }
    [[nodiscard]] bool is_good() const noexcept { return is_good_; }
    [[nodiscard]] int socket() const noexcept { return socket_.get(); }

private:
    descriptor_handle listener_;
    descriptor_handle socket_;
    bool is_good_ = false;
};

kernel_tls find_out() noexcept {
    const own_connection probed;
    if (!probed.is_good() || prepare_for_keys(probed.socket())) { return kernel_tls::none; }
    tls12_crypto_info_aes_gcm_128 keys{};  // Nothing is sent with them.
    keys.info.version = TLS_1_3_VERSION;
    keys.info.cipher_type = TLS_CIPHER_AES_GCM_128;
    const auto bytes = std::as_bytes(std::span(&keys, 1));
    if (give_keys(probed.socket(), bytes)) { return kernel_tls::none; }
    return give_keys(probed.socket(), bytes) ? kernel_tls::keys_stay : kernel_tls::keys_change;
}

std::error_code set(int socket, int level, int option, std::span<const std::byte> value) noexcept {
    const ordinary_descriptor asked(socket);
    if (::setsockopt(asked.get(), level, option, value.data(),
                     static_cast<socklen_t>(value.size())) != 0) {
        return {errno, std::system_category()};
    }
    return {};
}

std::expected<buffer, std::error_code> take_records(io_call& call, std::int32_t /*result*/) {
    return static_cast<record_call&>(call).take();
}

}  // namespace

kernel_tls kernel_tls_support() noexcept {
    if (this_thread_sockets != nullptr) [[unlikely]] { return kernel_tls::none; }
    static const kernel_tls known = find_out();
    return known;
}

std::error_code prepare_for_keys(int socket) noexcept {
    static constexpr std::array name{'t', 'l', 's'};
    return set(socket, IPPROTO_TCP, TCP_ULP, std::as_bytes(std::span(name)));
}

std::error_code give_keys(int socket, std::span<const std::byte> keys) noexcept {
    return set(socket, tls_level, TLS_TX, keys);
}

io_future<buffer> send_records(const net::byte_stream& stream, buffer bytes, std::uint8_t type) {
    if (!stream.is_open()) { return io_future<buffer>(make_error_code(errc::closed)); }
    return {std::make_unique<record_call>(stream.descriptor(), std::move(bytes), type),
            &take_records};
}

}  // namespace heph::rt::detail
