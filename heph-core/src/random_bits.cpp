#include <heph/core/detail/random_bits.hpp>

#include <atomic>
#include <random>

namespace heph::detail {

namespace {

std::uint64_t bits_of_the_system() {
    std::random_device device;
    return std::uint64_t{device()} << 32U | device();
}

// Relaxed: a function has nothing to be seen with it.
constinit std::atomic<random_source> source_of_bits = &bits_of_the_system;

}  // namespace

std::uint64_t random_bits() { return source_of_bits.load(std::memory_order_relaxed)(); }

void set_random_source(random_source source) noexcept {
    source_of_bits.store(source, std::memory_order_relaxed);
}

}  // namespace heph::detail
