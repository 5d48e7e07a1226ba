// A message that would be made by a cast from a pointer to something else.

#include <string>

#include <heph/inbox/channel.hpp>

int main() {
    const std::string text = "no number";
    auto [sender, receiver] = heph::inbox::channel<int*>(1);
    return sender.try_emplace(&text) ? 0 : 1;
}
