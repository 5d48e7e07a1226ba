// A call with a deadline that nobody watches over.

#include <chrono>

#include <heph/core/actor_ref.hpp>

int main() {
    const auto ref = heph::actor_ref<heph::rpc<void, int>>::to_nothing();
    ref.rpc(heph::deadline_in(std::chrono::seconds(1)));
}
