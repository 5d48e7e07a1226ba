#include "file_pieces.hpp"

#include <algorithm>
#include <utility>

#include <heph/http/response.hpp>

namespace heph::http {

namespace detail {

task<std::expected<rt::buffer, error>> read_file_piece(const rt::fs::file* file, rt::buffer into,
                                                       std::uint64_t offset, std::size_t size) {
    using result = std::expected<rt::buffer, error>;
    into.clear();
    if (into.capacity() < size) { into.reserve(size); }
    while (into.size() < size) {
        const std::size_t before = into.size();
        auto reading = file->read_at(std::move(into), offset + before);
        auto done = co_await reading;
        if (!done || done->size() == before) {
            co_return result(std::unexpect, error::handler_failed);
        }
        into = std::move(*done);
    }
    // The buffer may have had more room than was asked for.
    into.truncate(size);
    co_return result(std::move(into));
}

}  // namespace detail

task<std::expected<void, error>> body_writer::write_file(const rt::fs::file& from,
                                                         std::uint64_t offset, std::uint64_t size) {
    rt::buffer bytes;
    while (size != 0) {
        const auto now =
            static_cast<std::size_t>(std::min<std::uint64_t>(detail::file_piece_bytes, size));
        auto reading = detail::read_file_piece(&from, std::move(bytes), offset, now);
        auto got = co_await std::move(reading);
        if (!got) { co_return std::unexpected(got.error()); }
        bytes = std::move(*got);
        const std::expected<void, error> written = co_await write(bytes.view());
        if (!written) { co_return written; }
        offset += now;
        size -= now;
    }
    co_return std::expected<void, error>();
}

}  // namespace heph::http
