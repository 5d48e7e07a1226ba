// A call whose request is a reference, which the actor would look at when it is gone.

#include <cstddef>
#include <string>

#include <heph/core/rpc.hpp>

int main() { return sizeof(heph::rpc<const std::string&, std::size_t>) == 0 ? 1 : 0; }
