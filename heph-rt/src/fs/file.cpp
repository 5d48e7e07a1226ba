#include <heph/rt/fs/file.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>

#include <heph/rt/error.hpp>

#include "../busy_descriptors.hpp"
#include "../direct_descriptor.hpp"
#include "../direct_table.hpp"
#include "../system_call.hpp"
#include "../worker_core.hpp"

namespace heph::rt::fs {

namespace {

using detail::acquire_slot;
using detail::current_worker;
using detail::slot;
using detail::slot_kind;
using detail::slot_state;
using detail::system_error;
using detail::worker_core;

// Tells whether a started operation is completed; else keeps the waker.
bool is_completed(slot& operation, const waker& waker) noexcept {
    if (operation.state == slot_state::completed) { return true; }
    operation.waker = waker;
    return false;
}

}  // namespace

int open_options::flags() const noexcept {
    const bool writes = write_ || append_;
    int flags = O_CLOEXEC;
    flags |= writes ? (read_ ? O_RDWR : O_WRONLY) : O_RDONLY;
    if (append_) { flags |= O_APPEND; }
    if (create_ || create_new_) { flags |= O_CREAT; }
    if (create_new_) { flags |= O_EXCL; }
    if (truncate_) { flags |= O_TRUNC; }
    if (directory_) { flags |= O_DIRECTORY; }
    if (direct_) { flags |= O_DIRECT; }
    if (synchronous_) { flags |= O_SYNC; }
    if (no_follow_) { flags |= O_NOFOLLOW; }
    if (unnamed_) { flags |= O_TMPFILE; }
    return flags;
}

polled<open_future::value_type> open_future::poll(const waker& waker) {
    if (!operation_.started()) {
        worker_core* worker = current_worker();
        if (worker == nullptr) { return value_type(std::unexpect, errc::no_worker); }
        auto path = std::make_unique<std::string>(path_.string());
        if (path->find('\0') != std::string::npos) {  // The kernel would not see the rest.
            return value_type(std::unexpect, std::make_error_code(std::errc::invalid_argument));
        }
        slot& operation = acquire_slot(*worker, slot_kind::opens);
        operation.path = std::move(path);
        operation_ = detail::operation(&operation);
        worker->driver().open(operation, options_.flags(), options_.mode_bits());
    }
    slot& operation = operation_.state();
    if (!is_completed(operation, waker)) { return pending; }
    const int result = operation.result;
    operation_.finish();
    if (result < 0) { return value_type(std::unexpect, system_error(-result)); }
    return value_type(std::in_place, result);
}

polled<read_future::value_type> read_future::poll(const waker& waker) {
    if (!operation_.started()) {
        worker_core* worker = current_worker();
        if (worker == nullptr) { return value_type(std::unexpect, errc::no_worker); }
        if (!file_->is_open()) { return value_type(std::unexpect, errc::closed); }
        if (buffer_.spare() == 0) {
            return value_type(std::unexpect, std::make_error_code(std::errc::invalid_argument));
        }
        slot& operation = acquire_slot(*worker, slot_kind::plain);
        operation.data = std::move(buffer_);
        operation_ = detail::operation(&operation);
        worker->driver().read(operation, file_->descriptor(), offset_);
    }
    slot& operation = operation_.state();
    if (!is_completed(operation, waker)) { return pending; }
    const int result = operation.result;
    buffer bytes = std::move(operation.data);
    operation_.finish();
    if (result < 0) { return value_type(std::unexpect, system_error(-result)); }
    bytes.commit(static_cast<std::size_t>(result));
    return value_type(std::move(bytes));
}

polled<write_future::value_type> write_future::poll(const waker& waker) {
    worker_core* worker = current_worker();
    if (worker == nullptr) { return value_type(std::unexpect, errc::no_worker); }
    const auto next_offset = [this] {
        return offset_ == file::current_position ? offset_ : offset_ + written_;
    };
    if (!operation_.started()) {
        if (!file_->is_open()) { return value_type(std::unexpect, errc::closed); }
        if (buffer_.empty()) { return value_type(std::move(buffer_)); }
        slot& operation = acquire_slot(*worker, slot_kind::plain);
        operation.data = std::move(buffer_);
        operation_ = detail::operation(&operation);
        worker->driver().write(operation, file_->descriptor(), 0, next_offset());
    }
    slot& operation = operation_.state();
    int result = 0;
    for (;;) {
        if (!is_completed(operation, waker)) { return pending; }
        result = operation.result;
        if (result == 0) { result = -ENOSPC; }  // Without progress it would go on for ever.
        if (result < 0) { break; }
        written_ += static_cast<std::size_t>(result);
        if (written_ == operation.data.size()) { break; }
        if (!worker->owns(operation)) { return value_type(std::unexpect, errc::wrong_worker); }
        operation.state = slot_state::in_flight;
        worker->driver().write(operation, file_->descriptor(), written_, next_offset());
    }
    buffer bytes = std::move(operation.data);
    operation_.finish();
    if (result < 0) { return value_type(std::unexpect, system_error(-result)); }
    return value_type(std::move(bytes));
}

polled<sync_future::value_type> sync_future::poll(const waker& waker) {
    if (!operation_.started()) {
        worker_core* worker = current_worker();
        if (worker == nullptr) { return value_type(std::unexpect, errc::no_worker); }
        if (!file_->is_open()) { return value_type(std::unexpect, errc::closed); }
        slot& operation = acquire_slot(*worker, slot_kind::plain);
        operation_ = detail::operation(&operation);
        worker->driver().sync(operation, file_->descriptor(), data_only_);
    }
    slot& operation = operation_.state();
    if (!is_completed(operation, waker)) { return pending; }
    const int result = operation.result;
    operation_.finish();
    if (result < 0) { return value_type(std::unexpect, system_error(-result)); }
    return value_type();
}

file::~file() {
    if (descriptor_ < 0) { return; }
    if (worker_core* worker = current_worker()) {
        worker->driver().close_file(descriptor_);
    } else if (is_direct()) {
        detail::drop_direct(descriptor_);
    } else if (!detail::close_when_let_go(descriptor_)) {
        ::close(descriptor_);
    }
}

std::error_code file::make_direct() noexcept { return detail::make_direct(descriptor_); }

std::error_code file::make_ordinary() noexcept { return detail::make_ordinary(descriptor_); }

std::expected<std::uint64_t, std::error_code> file::size() const noexcept {
    struct stat status{};
    const detail::ordinary_descriptor asked(descriptor_);
    if (::fstat(asked.get(), &status) != 0) { return std::unexpected(system_error(errno)); }
    return static_cast<std::uint64_t>(status.st_size);
}

std::error_code file::truncate(std::uint64_t size) const noexcept {
    const detail::ordinary_descriptor cut(descriptor_);
    if (::ftruncate(cut.get(), static_cast<off_t>(size)) != 0) { return system_error(errno); }
    return {};
}

}  // namespace heph::rt::fs
