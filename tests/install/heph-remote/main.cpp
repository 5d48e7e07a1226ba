// A message as it travels between nodes: described once, encoded, and decoded with bounds.

#include <cstddef>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include <heph/remote/codec/codec.hpp>
#include <heph/remote/message.hpp>

struct note_put {
    std::string id;
    std::string body;
};
HEPH_MESSAGE(note_put, "notes.put", 1, id, body)

int main() {
    const note_put sent{"shopping", "Buy milk"};
    std::vector<std::byte> bytes = heph::remote::encode(sent);
    const auto received = heph::remote::decode<note_put>(bytes);
    if (!received) { return 1; }
    std::cout << received->id << ": " << received->body << '\n';

    bytes.pop_back();  // What is cut short is an error, not a guess.
    std::cout << "cut short: " << (heph::remote::decode<note_put>(bytes) ? "taken" : "refused")
              << '\n';
}
