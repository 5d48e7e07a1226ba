#include "wire.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace heph::rt::tls {

namespace {

wire& wire_of(BIO* bio) noexcept { return *static_cast<wire*>(BIO_get_data(bio)); }

// An empty wire means "not yet", never "the end".
int read_from(BIO* bio, char* out, std::size_t size, std::size_t* got) {
    BIO_clear_retry_flags(bio);
    *got = wire_of(bio).read(std::as_writable_bytes(std::span(out, size)));
    if (*got != 0) { return 1; }
    BIO_set_retry_read(bio);
    return -1;
}

int write_to(BIO* bio, const char* data, std::size_t size, std::size_t* written) {
    BIO_clear_retry_flags(bio);
    try {
        wire_of(bio).write(std::as_bytes(std::span(data, size)));
    } catch (const std::bad_alloc&) { return -1; }
    *written = size;
    return 1;
}

long control(BIO* bio, int command, long /*number*/, void* /*argument*/) {
    switch (command) {
        case BIO_CTRL_FLUSH: return 1;
        case BIO_CTRL_PENDING: return static_cast<long>(wire_of(bio).unread());
        default: return 0;
    }
}

const BIO_METHOD* wire_method() {
    static const BIO_METHOD* const method = [] {
        BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "heph wire");
        if (made == nullptr) { return made; }
        BIO_meth_set_read_ex(made, read_from);
        BIO_meth_set_write_ex(made, write_to);
        BIO_meth_set_ctrl(made, control);
        return made;
    }();
    return method;
}

}  // namespace

BIO* wire::make_bio() noexcept {
    const BIO_METHOD* method = wire_method();
    BIO* made = method != nullptr ? BIO_new(method) : nullptr;
    if (made == nullptr) { return nullptr; }
    BIO_set_data(made, this);
    BIO_set_init(made, 1);
    return made;
}

void wire::lend(std::span<const std::byte> bytes) {
    keep();
    lent_ = bytes;
}

void wire::keep() {
    if (lent_.empty()) { return; }
    append(lent_);
    lent_ = {};
}

void wire::feed(std::span<const std::byte> bytes) {
    keep();
    append(bytes);
}

void wire::append(std::span<const std::byte> bytes) {
    if (read_ != 0 && input_.spare() < bytes.size()) {
        input_.consume(read_);
        read_ = 0;
    }
    input_.append(bytes);
}

void wire::expect_output(std::size_t plain_bytes) noexcept {
    constexpr std::size_t record_bytes = SSL3_RT_MAX_PLAIN_LENGTH;
    // With TLS 1.3 it is 22 bytes, with the older block ciphers up to 85.
    constexpr std::size_t overhead_bytes_max = 96;
    if (plain_bytes <= record_bytes) { return; }
    const std::size_t records = (plain_bytes + record_bytes - 1) / record_bytes;
    const std::size_t needed = output_.size() + plain_bytes + records * overhead_bytes_max;
    if (needed <= output_.capacity()) { return; }
    try {
        output_.reserve(std::max(needed, 2 * output_.capacity()));
    } catch (const std::bad_alloc&) { return; }  // The record that finds no room says so.
}

std::size_t wire::read(std::span<std::byte> out) noexcept {
    std::size_t size = 0;
    if (!input_.empty()) {
        size = std::min(out.size(), input_.size() - read_);
        std::memcpy(out.data(), input_.data() + read_, size);
        read_ += size;
        if (read_ == input_.size()) {
            input_ = buffer();
            read_ = 0;
        }
    }
    const std::size_t lent = std::min(out.size() - size, lent_.size());
    if (lent != 0) {
        std::memcpy(out.data() + size, lent_.data(), lent);
        lent_ = lent_.subspan(lent);
    }
    return size + lent;
}

}  // namespace heph::rt::tls
