/// An input or output of an interpreter.
@safe struct Endpoint {
    /// How the tensor's memory and the caller's are related; the numbers are those of `eo_binding`.
    enum Binding: Int32 { case arena = 0, direct = 1, copied = 2 }

    let tensor: Int
    /// False: an output that is also an input, a constant, an output for the second time, or of unknown shape. It has no
    /// memory of its own to be replaced.
    let isOwn: Bool
    let bytes: Int
    /// Bytes of one element, a power of two, which direct memory must be aligned to.
    let alignment: Int
    /// The library's own memory for it.
    var home: UnsafeMutableRawPointer?
    /// The caller's memory.
    var bound: UnsafeMutableRawPointer?
    var binding = Binding.arena

    init(tensor: Int, isOwn: Bool, bytes: Int, alignment: Int) {
        self.tensor = tensor
        self.isOwn = isOwn
        self.bytes = bytes
        self.alignment = alignment
    }

    /// The caller's memory can be the tensor: it is aligned to the elements.
    var isAligned: Bool { unsafe UInt(bitPattern: bound) & UInt(alignment - 1) == 0 }

    func overlaps(_ other: Endpoint) -> Bool {
        guard let mine = unsafe bound, let theirs = unsafe other.bound else { return false }
        return unsafe mine < theirs + other.bytes && theirs < mine + bytes
    }
}
