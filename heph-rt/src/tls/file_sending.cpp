// Sending by way of the kernel, once it has the keys; and files, with it or without.

#include <algorithm>
#include <array>
#include <utility>

#include <heph/rt/tls/stream.hpp>

#include "../net/kernel_tls.hpp"
#include "engine_state.hpp"
#include "kernel_part.hpp"

namespace heph::rt::tls::detail {

namespace {

// For a smaller file the change of hands, once in a connection, is not worth it.
constexpr std::uint64_t offloaded_file_bytes_min = 128 * 1024;
// So much is sent by the kernel before what the engine wants to say has its turn.
constexpr std::uint64_t file_turn_bytes = 1024 * 1024;
// So much of a file is read at once where the kernel does not do it.
constexpr std::uint64_t file_piece_bytes = 64 * 1024;

// RFC 8446 section 6: fatal, internal_error.
constexpr std::array fatal_internal_error{std::byte{2}, std::byte{80}};

}  // namespace

bool session::is_sending() const noexcept {
    return sending_.has_value() ||
           (kernel_ != nullptr && (kernel_->records.has_value() || kernel_->file.has_value()));
}

bool session::has_unsent() const noexcept {
    // What there is waits for the end of a file that is being sent; who sends that goes on with it.
    if (kernel_ != nullptr && kernel_->file) { return false; }
    return is_sending() || engine_.has_output() || !engine_.inner().controls.empty();
}

// Begins to send what the engine has for it; gives false when that is nothing, or has failed.
bool session::begin_sending() {
    // Nothing comes between the word of new keys and these.
    auto& controls = engine_.inner().controls;
    while (!controls.empty() && controls.front().keys != nullptr) {
        const auto keys = std::move(controls.front().keys);
        controls.erase(controls.begin());
        send_failure_ = rt::detail::give_keys(transport().descriptor(), keys->bytes());
        if (send_failure_) { return false; }
    }
    if (!engine_.has_output()) { return kernel_ != nullptr && begin_control(); }
    buffer out = std::move(spare_);
    engine_.take_output(out);
    if (kernel_ == nullptr) {
        sending_.emplace(transport().send_all(std::move(out)));
    } else {
        kernel_->records.emplace(
            rt::detail::send_records(transport(), std::move(out), rt::detail::data_record));
    }
    return true;
}

// Begins with the next record of another kind.
bool session::begin_control() {
    if (kernel_->last_word) { send_failure_ = kernel_->last_word; }
    auto& controls = engine_.inner().controls;
    if (send_failure_ || controls.empty()) { return false; }
    control_record next = std::move(controls.front());
    controls.erase(controls.begin());
    // All that is left of a handshake is new keys.
    if (next.type == SSL3_RT_HANDSHAKE &&
        rt::detail::kernel_tls_support() != rt::detail::kernel_tls::keys_change) {
        kernel_->last_word = make_error_code(errc::key_update_refused);
        controls.clear();
        next.type = SSL3_RT_ALERT;
        next.bytes.clear();
        next.bytes.append(fatal_internal_error);
    }
    kernel_->records.emplace(
        rt::detail::send_records(transport(), std::move(next.bytes), next.type));
    return true;
}

polled<std::expected<buffer, std::error_code>> session::poll_sending(const waker& waker) {
    if (kernel_ != nullptr && kernel_->file) { return pending; }
    if (sending_) {
        auto sent = sending_->poll(waker);
        if (sent.is_ready()) { sending_.reset(); }
        return sent;
    }
    auto sent = kernel_->records->poll(waker);
    if (sent.is_ready()) { kernel_->records.reset(); }
    return sent;
}

void session::drop_sending() noexcept {
    sending_.reset();
    kernel_.reset();
}

void session::drop_file() noexcept {
    if (kernel_ == nullptr) { return; }
    kernel_->file.reset();
    kernel_->file_sent.reset();
}

bool session::offload_for(std::uint64_t file_bytes) noexcept {
    if (kernel_ != nullptr) { return true; }
    if (file_bytes < offloaded_file_bytes_min || has_unsent() || send_failure_) { return false; }
    auto part = std::unique_ptr<kernel_part>(new (std::nothrow) kernel_part());
    if (part == nullptr || !engine_.inner().hand_over(transport().descriptor())) { return false; }
    kernel_ = std::move(part);
    return true;
}

polled<std::expected<std::uint64_t, std::error_code>> session::poll_send_file(const fs::file& from,
                                                                              std::uint64_t offset,
                                                                              std::uint64_t count,
                                                                              const waker& waker) {
    using result = std::expected<std::uint64_t, std::error_code>;
    kernel_part& kernel = *kernel_;
    if (!kernel.file_sent) {
        if (!kernel.file) {
            auto flushed = poll_flush(waker);
            if (!flushed.is_ready()) {
                wait_as_writer(waker);
                return pending;
            }
            writer_ = heph::waker();
            if (!flushed.value()) { return result(std::unexpect, flushed.value().error()); }
            // As whatever else is sent, nothing follows an alert that ends the connection.
            const auto& state = engine_.inner();
            if (state.failure) { return result(std::unexpect, make_error_code(*state.failure)); }
            if (state.write_closed) { return result(std::unexpect, make_error_code(errc::closed)); }
            kernel.file.emplace(rt::detail::send_file_in_records(transport(), from, offset, count));
        }
        auto sent = kernel.file->poll(waker);
        if (!sent.is_ready()) { return pending; }
        kernel.file_sent.emplace(std::move(sent).value());
        kernel.file.reset();
    }
    // What came up meanwhile, such as an answer to new keys.
    if (*kernel.file_sent) {
        auto flushed = poll_flush(waker);
        if (!flushed.is_ready()) {
            wait_as_writer(waker);
            return pending;
        }
        writer_ = heph::waker();
        if (!flushed.value()) { kernel.file_sent.emplace(std::unexpect, flushed.value().error()); }
    }
    result sent = std::move(*kernel.file_sent);
    kernel.file_sent.reset();
    return sent;
}

namespace {

/// One turn of the kernel's. *Lifetime*: session and file outlive it.
class [[nodiscard]] kernel_turn {
public:
    using value_type = std::expected<std::uint64_t, std::error_code>;
    kernel_turn(session* over, const fs::file* from, std::uint64_t offset,
                std::uint64_t count) noexcept
        : session_(over), from_(from), offset_(offset), count_(count) {}
    kernel_turn(kernel_turn&& other) noexcept
        : session_(other.session_),
          from_(other.from_),
          offset_(other.offset_),
          count_(other.count_),
          active_(std::exchange(other.active_, false)) {}
    kernel_turn& operator=(kernel_turn&&) = delete;
    ~kernel_turn() {
        if (!active_) { return; }
        session_->drop_file();
        session_->set_sender(false);
    }

    polled<value_type> poll(const waker& waker) {
        active_ = true;
        session_->set_sender(true);
        auto sent = session_->poll_send_file(*from_, offset_, count_, waker);
        if (!sent.is_ready()) { return pending; }
        active_ = false;
        session_->set_sender(false);
        return sent;
    }

private:
    session* session_;
    const fs::file* from_;
    std::uint64_t offset_;
    std::uint64_t count_;
    bool active_ = false;
};

/// Waits until all is sent that was encrypted.
class [[nodiscard]] flush_future {
public:
    using value_type = std::expected<void, std::error_code>;
    explicit flush_future(session* over) noexcept : session_(over) {}
    polled<value_type> poll(const waker& waker) { return session_->poll_flush(waker); }

private:
    session* session_;
};

}  // namespace

task<std::expected<std::uint64_t, std::error_code>> send_file(session* over, const fs::file* from,
                                                              std::uint64_t offset,
                                                              std::uint64_t count) {
    using result = std::expected<std::uint64_t, std::error_code>;
    const auto shaken = co_await handshake_future(*over);
    if (!shaken) { co_return result(std::unexpect, shaken.error()); }
    if (count >= offloaded_file_bytes_min && !over->is_offloaded()) {
        const auto flushed = co_await flush_future(over);
        if (!flushed) { co_return result(std::unexpect, flushed.error()); }
        (void)over->offload_for(count);
    }
    std::uint64_t done = 0;
    buffer piece;
    while (done < count) {
        if (over->is_offloaded()) {
            const std::uint64_t size = std::min(count - done, file_turn_bytes);
            const auto sent = co_await kernel_turn(over, from, offset + done, size);
            if (!sent) { co_return result(std::unexpect, sent.error()); }
            done += *sent;
            if (*sent != size) { break; }
            continue;
        }
        const std::uint64_t size = std::min(count - done, file_piece_bytes);
        if (piece.capacity() < size) { piece = buffer::with_capacity(size); }
        piece.clear();
        auto reading = from->read_at(std::move(piece), offset + done);
        auto got = co_await reading;
        if (!got) { co_return result(std::unexpect, got.error()); }
        if (got->empty()) { break; }
        if (got->size() > size) { got->truncate(size); }
        done += got->size();
        auto sending = send_future(*over, std::move(*got));
        auto sent = co_await sending;
        if (!sent) { co_return result(std::unexpect, sent.error()); }
        piece = std::move(*sent);
    }
    co_return result(done);
}

}  // namespace heph::rt::tls::detail
