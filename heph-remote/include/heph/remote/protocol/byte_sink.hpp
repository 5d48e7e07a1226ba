#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <heph/remote/protocol/framed_payload.hpp>

namespace heph::remote::protocol {

/// Takes bytes that are to be sent, piece by piece, in order.
class byte_sink {
public:
    byte_sink() = default;
    byte_sink(const byte_sink&) = delete;
    byte_sink& operator=(const byte_sink&) = delete;
    virtual ~byte_sink() = default;
    /// Takes a piece. *Errors*: throws `std::bad_alloc`. *Lifetime*: the bytes are its for the
    /// call only.
    virtual void put(std::span<const std::byte> bytes) = 0;
    /// Takes a piece that is a part of `of`, which may be kept instead of a copy.
    virtual void put_part(const shared_bytes& /*of*/, std::span<const std::byte> bytes) {
        put(bytes);
    }
};

/// Appends what it takes to a vector.
class vector_sink final : public byte_sink {
public:
    explicit vector_sink(std::vector<std::byte>& out) noexcept : out_(&out) {}
    void put(std::span<const std::byte> bytes) override {
        out_->insert(out_->end(), bytes.begin(), bytes.end());
    }

private:
    std::vector<std::byte>* out_;
};

}  // namespace heph::remote::protocol
