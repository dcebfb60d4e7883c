import Model
import Operators

/// Where every tensor of an interpreter lies.
@safe struct Memory {
    /// nil: nowhere, at this time.
    private var bases: [UnsafeMutableRawPointer?]
    /// Input (0...) or output (after the inputs) whose memory the tensor lies in; -1: none. Such tensors move when the
    /// caller binds memory.
    private(set) var endpoint: [Int]
    /// Offset in the arena, for reports; -1: not in an arena.
    private(set) var offsets: [Int]
    let inputCount: Int

    init(tensorCount: Int, inputCount: Int) {
        unsafe bases = [UnsafeMutableRawPointer?](repeating: nil, count: tensorCount)
        endpoint = [Int](repeating: -1, count: tensorCount)
        offsets = endpoint
        self.inputCount = inputCount
    }

    /// nil if the tensor has no memory.
    func data(_ tensor: Int) -> UnsafeMutableRawPointer? { unsafe bases[tensor] }

    /// Never nil, so that tensors without bytes have one too.
    func address(of tensor: Int) -> UnsafeMutableRawPointer {
        unsafe bases[tensor] ?? Invocation.Block.empty.base
    }

    mutating func set(_ tensor: Int, _ address: UnsafeMutableRawPointer, endpoint number: Int = -1) {
        unsafe bases[tensor] = address
        endpoint[tensor] = number
    }

    mutating func setConstant(_ tensor: Int, _ data: Bytes) {
        unsafe bases[tensor] = UnsafeMutableRawPointer(mutating: data.baseAddress)
        endpoint[tensor] = -1
    }

    /// All tensors in the memory of an endpoint move.
    mutating func move(_ tensors: [Int], to address: UnsafeMutableRawPointer) {
        for tensor in tensors { unsafe bases[tensor] = address }
    }

    /// Notes where a segment's tensors lie. Outputs of the interpreter have their memory already.
    mutating func place(_ plan: SegmentPlan, arena: Storage) {
        for (tensor, info) in plan.graph.tensors.enumerated() {
            if let constant = info.constant, !constant.isDeferred { setConstant(tensor, constant) }
        }
        for (tensor, location) in plan.layout.locations.enumerated() {
            switch location {
            case .none: break
            case .arena(let offset):
                unsafe set(tensor, arena.address + offset)
                offsets[tensor] = offset
            case .output(let number):
                let output = plan.graph.outputs[number]
                if output != tensor { unsafe set(tensor, address(of: output), endpoint: inputCount + number) }
            case .same(let other):
                unsafe bases[tensor] = unsafe bases[other]
                endpoint[tensor] = endpoint[other]
            }
        }
    }
}

extension Storage {
    /// Valid while the storage lives. Never nil.
    @unsafe var address: UnsafeMutableRawPointer {
        unsafe UnsafeMutableRawPointer(mutating: Bytes(self).baseAddress)
    }
}
