// Requests as plain system calls, for the threads that may block.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <heph/rt/fs/file.hpp>

#include "blocking_jobs.hpp"
#include "readiness_call.hpp"
#include "system_call.hpp"

namespace heph::rt::detail {

namespace {

std::int32_t read_some(slot& operation) noexcept {
    const request& asked = operation.request;
    const auto room = operation.data.spare_bytes().subspan(asked.from);
    const std::size_t bytes = std::min(room.size(), transfer_bytes_max);
    const std::int32_t got = retry([&] {
        return asked.offset == fs::file::current_position
                   ? ::read(asked.descriptor, room.data(), bytes)
                   : ::pread(asked.descriptor, room.data(), bytes,
                             static_cast<off_t>(asked.offset + asked.from));
    });
    if (asked.from == 0) { return got; }
    // The next read tells of an error.
    return static_cast<std::int32_t>(asked.from) + std::max(got, 0);
}

std::int32_t write_some(slot& operation) noexcept {
    const request& asked = operation.request;
    const std::byte* from = operation.data.data() + asked.from;
    const std::size_t bytes = std::min(operation.data.size() - asked.from, transfer_bytes_max);
    return retry([&] {
        return asked.offset == fs::file::current_position
                   ? ::write(asked.descriptor, from, bytes)
                   : ::pwrite(asked.descriptor, from, bytes, static_cast<off_t>(asked.offset));
    });
}

// Another thread may have been quicker to read what there was: then it is waited for anew, and not
// here, where nothing could end the wait.
std::int32_t perform_call(io_call& call) noexcept {
    const bool to_read = call.how() == io_call::waits::to_read_on_thread;
    if (to_read || call.how() == io_call::waits::to_write_on_thread) {
        if (const std::int32_t not_ready = is_ready(call.descriptor(), to_read)) {
            return not_ready;
        }
    }
    return call.perform();
}

}  // namespace

std::int32_t perform(slot& operation) noexcept {
    const request& asked = operation.request;
    switch (asked.code) {
        case request_code::open:
            return retry([&] { return ::open(operation.path->c_str(), asked.flags, asked.mode); });
        case request_code::read: return read_some(operation);
        case request_code::write: return write_some(operation);
        case request_code::sync:
            return retry([&] {
                return asked.flags != 0 ? ::fdatasync(asked.descriptor) : ::fsync(asked.descriptor);
            });
        case request_code::close:
            // Not again after an interruption: the descriptor is gone then, too.
            return ::close(asked.descriptor) == 0 ? 0 : -errno;
        case request_code::call: return perform_call(*operation.call);
        case request_code::await:
        case request_code::receive:
        case request_code::receive_many:
        case request_code::send:
        case request_code::accept_many:
        case request_code::accept_one:
        case request_code::connect: break;
    }
    return -EINVAL;
}

}  // namespace heph::rt::detail
