// UP_TO_n(F): F(1) F(2) ... F(n), for the copies of a kernel's loop, one for each number of rows.
#define UP_TO_3(F) F(1) F(2) F(3)
#define UP_TO_6(F) UP_TO_3(F) F(4) F(5) F(6)
#define UP_TO_7(F) UP_TO_6(F) F(7)
#define UP_TO_8(F) UP_TO_7(F) F(8)
#define UP_TO_10(F) UP_TO_8(F) F(9) F(10)
#define UP_TO_12(F) UP_TO_10(F) F(11) F(12)
#define UP_TO_14(F) UP_TO_12(F) F(13) F(14)
